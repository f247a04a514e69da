"""The cases beside this file and the order of many products, without a component."""

import random
import unittest
from pathlib import Path

from diversity import Looks, spread
from plugin import Ranking, Settings
from taja.testing import Sample, check_cases, check_manifest

PACKAGE = Path(__file__).parents[1]


def looks(count: int, chance: random.Random) -> Looks:
    def some(*words: str) -> list[str | None]:
        return [chance.choice([*words, None]) for _ in range(count)]

    return Looks.of(
        categories=some("lamps", "chairs"),
        brands=some("Nord", "Lumen"),
        colors=some("red", "blue"),
        prices=[chance.choice([10.0, 11.0, 90.0, None]) for _ in range(count)],
        weights=(0.4, 0.3, 0.2, 0.1),
        price_span=0.25,
    )


class Plugin(unittest.TestCase):
    def test_cases(self) -> None:
        check_cases(Ranking().rank, PACKAGE / "tests")

    def test_the_manifest_and_the_code_agree(self) -> None:
        check_manifest(Settings, PACKAGE / "plugin.toml")

    def test_nothing_to_rank_is_no_error(self) -> None:
        sample = Sample({}, [], numbers=["price"], texts=["category", "color", "attributes.brand"])
        self.assertEqual(sample.order(Ranking().rank(sample.candidates())), [])

    def test_every_product_is_picked_once_and_scores_never_rise(self) -> None:
        for seed in range(50):
            chance = random.Random(seed)
            count = chance.randrange(1, 80)
            scores = sorted((chance.random() for _ in range(count)), reverse=True)
            relevance, depth = chance.choice([0.0, 0.3, 0.7, 1.0]), chance.randrange(1, 100)
            picks = list(spread(range(count), scores, looks(count, chance), relevance, depth))
            self.assertEqual(sorted(pick.product for pick in picks), list(range(count)))
            for above, below in zip(picks, picks[1:]):
                self.assertGreaterEqual(above.score + 1e-12, below.score)
            self.assertTrue(all(-1e-12 <= pick.score <= 1.0 + 1e-12 for pick in picks))

    def test_each_place_goes_to_the_best_by_the_definition(self) -> None:
        count, relevance = 12, 0.6
        chance = random.Random(7)
        known = looks(count, chance)
        scores = [1.0 - place / (count - 1) for place in range(count)]
        picked: list[int] = []
        for pick in spread(range(count), scores, known, relevance, count):

            def value(product: int) -> float:
                nearest = max((alike(known, product, above) for above in picked), default=0.0)
                return relevance * scores[product] - (1 - relevance) * nearest

            best = max(value(product) for product in range(count) if product not in picked)
            self.assertAlmostEqual(value(pick.product), best)
            picked.append(pick.product)


def alike(looks: Looks, one: int, other: int) -> float:
    category, brand, color, price = looks.shares
    apart = abs(looks.prices[one] - looks.prices[other])
    return (
        category * (looks.categories[one] == looks.categories[other])
        + brand * (looks.brands[one] == looks.brands[other])
        + color * (looks.colors[one] == looks.colors[other])
        + (price * (1 - apart / looks.span) if apart < looks.span else 0.0)
    )
