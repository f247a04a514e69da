"""Columns, best matches, and answers that the host takes whatever is put into them."""

import random
import unittest
from collections.abc import Mapping
from typing import Any

from taja.rank import Answer, best, numbers, texts
from taja.testing import Sample


def leg(name: str, hits: list[list[Any]], **fields: Any) -> Mapping[str, Any]:
    return {"name": name, "modality": "text", "measure": "cosine", "hits": hits, **fields}


def two_legs(weight: float = 1.0) -> Sample:
    images = leg("image-vector", [["a", 0.9, "a1"], ["a", 0.8, "a2"], ["b", 0.7, "b1"]])
    words = leg("text-keyword", [["b", 5.0], ["c", 4.0]], measure="relevance", weight=weight)
    return Sample({}, [images, words])


class Columns(unittest.TestCase):
    def test_values_are_read_by_product_and_missing_ones_are_none(self) -> None:
        products: dict[str, dict[str, Any]] = {
            "lamp": {"price": 39.9, "created_at": "1970-01-02T00:00:00Z", "attributes": {"margin": 0.4}},
            "vase": {"color": "red", "attributes": {"size": 3}},
        }
        sample = Sample(
            products,
            [leg("text-vector", [["lamp", 0.9], ["vase", 0.8], ["mug", 0.7]])],
            numbers=["price", "created_at", "attributes.margin"],
            texts=["color", "name", "attributes.size"],
        )
        candidates = sample.candidates()
        self.assertEqual(numbers(candidates, "price"), [39.9, None, None])
        self.assertEqual(numbers(candidates, "created_at"), [86400.0, None, None])
        self.assertEqual(numbers(candidates, "attributes.margin"), [0.4, None, None])
        self.assertEqual(texts(candidates, "color"), [None, "red", None])
        self.assertEqual(texts(candidates, "name"), ["lamp", "vase", "mug"])
        self.assertEqual(texts(candidates, "attributes.size"), [None, "3", None])

    def test_a_column_nobody_asked_for_is_an_error_that_says_what_to_do(self) -> None:
        with self.assertRaisesRegex(LookupError, r'add "stock" to numbers under \[columns\] in plugin.toml'):
            numbers(two_legs().candidates(), "stock")


class BestMatches(unittest.TestCase):
    def test_ranks_count_products_and_each_has_its_first_match(self) -> None:
        self.assertEqual(best(two_legs().candidates()).rows, [{0: 0, 1: 2}, {1: 3, 2: 4}])

    def test_fused_scores_are_shares_of_being_first_everywhere(self) -> None:
        most = 2 / 61
        expected = [1 / 61 / most, (1 / 62 + 1 / 61) / most, 1 / 62 / most]
        for score, wanted in zip(best(two_legs().candidates()).fused(), expected, strict=True):
            self.assertAlmostEqual(score, wanted, 12)

    def test_a_leg_without_a_weight_does_not_count(self) -> None:
        for weight in (0.0, float("nan"), float("inf")):
            fused = best(two_legs(weight).candidates()).fused()
            self.assertEqual((fused[0], fused[2]), (1.0, 0.0))

    def test_a_leg_whose_weight_is_below_nothing_takes(self) -> None:
        fused = best(two_legs(-0.5).candidates()).fused()
        self.assertEqual((fused[0], fused[2]), (1.0, 0.0))
        self.assertAlmostEqual(fused[1], 61 / 62 - 0.5, 12)
        self.assertEqual(best(two_legs(-2.0).candidates()).fused()[1], 0.0)

    def test_nothing_to_rank_is_no_error(self) -> None:
        self.assertEqual(best(Sample({}, []).candidates()).fused(), [])


class Answers(unittest.TestCase):
    def test_the_order_is_by_score_and_of_equals_the_first_put_comes_first(self) -> None:
        sample = two_legs()
        answer = Answer(sample.candidates())
        for product, score in ((2, 1.0), (0, 2.0), (1, 1.0)):
            answer.put(product, score, f"score {score}")
        ranked = answer.finish()
        self.assertEqual(sample.order(ranked), ["a", "c", "b"])
        self.assertEqual(sample.notes(ranked, "a"), ["score 2.0"])

    def test_an_order_of_your_own_lowers_scores_that_rise(self) -> None:
        sample = two_legs()
        answer = Answer(sample.candidates())
        for product, score in ((1, 1.0), (2, 3.0), (0, 0.5)):
            answer.put(product, score)
        ranked = answer.finish_in_order()
        self.assertEqual((sample.order(ranked), ranked.scores), (["b", "c", "a"], [1.0, 1.0, 0.5]))

    def test_evidence_is_one_match_per_image_and_words_only_where_no_image_matched(self) -> None:
        images = leg("image-vector", [["a", 0.5, "a1"], ["a", 0.4, "a2"]])
        again = leg("text-vector", [["a", 0.9, "a2"], ["a", 0.8, "a3"]])
        words = leg("text-keyword", [["a", 7.0], ["c", 4.0]], measure="relevance")
        candidates = Sample({}, [images, again, words]).candidates()
        answer = Answer(candidates, evidence=2)
        answer.put(0, 2.0)
        answer.put(1, 1.0)
        ranked = answer.finish()
        self.assertEqual((ranked.evidence, ranked.evidence_ends), ([2, 3, 5], [2, 3]))

    def test_what_cannot_stand_is_refused_by_name(self) -> None:
        answer = Answer(two_legs().candidates())
        answer.put(0, 1.0)
        for product, score, error in ((0, 1.0, "twice"), (3, 1.0, "3 candidates"), (-1, 1.0, "3 candidates")):
            with self.assertRaisesRegex(ValueError, error):
                answer.put(product, score)
        for score in (float("nan"), float("inf"), 1e39):
            with self.assertRaisesRegex(ValueError, "product 1 is no finite number"):
                answer.put(1, score)

    def test_no_more_is_shown_than_the_client_pages_through(self) -> None:
        hits = [[str(product), 0.5] for product in range(300)]
        sample = Sample({}, [leg("text-vector", hits)], limit=150)
        answer = Answer(sample.candidates())
        for product in range(300):
            answer.put(product, 1.0, "a note")
        ranked = answer.finish()
        self.assertEqual((len(sample.order(ranked)), len(ranked.notes)), (150, 100))

    def test_whatever_is_put_in_makes_an_answer_that_the_host_takes(self) -> None:
        for seed in range(100):
            chance = random.Random(seed)
            legs = []
            for name in ("one", "two", "three"):
                hits = [[str(chance.randrange(20)), chance.uniform(-1, 1)] for _ in range(30)]
                hits = [[*hit, f"{hit[0]}-{chance.randrange(3)}"] if chance.random() < 0.7 else hit for hit in hits]
                legs.append(leg(name, hits, measure=chance.choice(["cosine", "relevance"])))
            sample = Sample({}, legs)
            answer = Answer(sample.candidates(), evidence=chance.randrange(5))
            for product in chance.sample(range(len(sample.names)), chance.randrange(len(sample.names) + 1)):
                answer.put(product, chance.uniform(-9, 9))
            sample.order(chance.choice([answer.finish, answer.finish_in_order])())
