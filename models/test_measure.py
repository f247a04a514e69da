"""python -m unittest test_measure: needs nothing but Python."""

import json
import tempfile
import unittest
from pathlib import Path

from measure import Shop, between_marks, clothing, grocery, sample, table

FIGURE = {"measure": "ndcg@10", "value": 0.5, "low": 0.25, "high": 0.75}


def rows(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


class Shops(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def test_clothes_tell_nothing_of_their_class_but_by_the_picture(self):
        rows(self.folder / "catalogue.jsonl", {"file": "catalogue/a.jpg", "class": "hat"}, {"file": "catalogue/b.jpg", "class": "dress"})
        rows(self.folder / "queries.jsonl", {"file": "queries/c.jpg", "class": "dress"}, {"file": "queries/d.jpg", "class": "hat"})
        rows(self.folder / "text_queries.jsonl", {"query": "a hat", "class": "hat"}, {"query": "a gown", "class": "dress"})
        shop = clothing(self.folder)
        told = json.dumps([{**product, "images": []} for product in shop.products])
        self.assertNotIn("hat", told)
        self.assertNotIn("dress", told)
        self.assertEqual(shop.words["clothing, words"][0]["relevant"], {"a": 1})
        composed = shop.composed["clothing, photograph and words"]
        self.assertEqual([(row["query"], row["relevant"]) for row in composed], [("a gown", {"b": 1}), ("a hat", {"a": 1})])

    def test_a_category_finds_all_that_is_in_it_and_a_photograph_one(self):
        apple = {"category": "Apple", "department": "Fruit", "description": "Sweet."}
        rows(self.folder / "catalogue.jsonl", {"file": "i/x.jpg", "name": "Gala", **apple}, {"file": "i/y.jpg", "name": "Pink Lady", **apple})
        rows(self.folder / "queries.jsonl", {"file": "shelf/y1.jpg", "name": "Pink Lady"})
        shop = grocery(self.folder)
        self.assertEqual(shop.words["grocery, category"], [{"query": "Apple", "relevant": {"x": 1, "y": 1}}])
        self.assertEqual(shop.words["grocery, name"][1], {"query": "Pink Lady", "relevant": {"y": 1}})
        self.assertEqual(shop.composed["grocery, photograph and category"][0]["query"], "Apple")
        self.assertEqual(shop.pictures["grocery, photograph"][0]["relevant"], {"y": 1})

    def test_what_is_composed_stands_beside_each_of_its_parts(self):
        shop = Shop("shop", [], {}, {}, {"set": [{"image": "a.jpg", "query": "Apple", "relevant": {"x": 1}}]})
        sets, columns = shop.kinds()["composed"]
        self.assertEqual(sets, shop.composed)
        self.assertEqual(columns["photograph alone"], {"weights": {"text": 0}})
        self.assertEqual(columns["words alone"], {"weights": {"image": 0}})
        self.assertTrue(all("weights" not in column for kind in ("words", "pictures") for column in shop.kinds()[kind][1].values()))

    def test_the_sample_shop_is_known_by_its_pictures(self):
        rows(self.folder / "catalogue.ndjson", {"name": "Hat", "category": "Clothes", "images": ["images/1f.jpg"]})
        shop = sample(self.folder / "catalogue.ndjson")
        self.assertEqual(shop.products[0]["images"], [str(self.folder / "images/1f.jpg")])
        self.assertEqual(shop.words["sample shop, name"], [{"query": "Hat", "relevant": {"1f": 1}}])


class Written(unittest.TestCase):
    def test_figures_take_the_place_of_those_before(self):
        text = "a\n<!-- begin: quality -->\nold\n<!-- end: quality -->\nb\n"
        once = between_marks(text, "new")
        self.assertEqual(once, "a\n<!-- begin: quality -->\n\nnew\n\n<!-- end: quality -->\nb\n")
        self.assertEqual(between_marks(once, "new"), once)

    def test_what_differs_beyond_chance_is_marked(self):
        below = {**FIGURE, "difference": {"value": -0.2, "low": -0.3, "high": -0.1}}
        within = {**FIGURE, "difference": {"value": -0.2, "low": -0.3, "high": 0.1}}
        columns = [{"name": name, "figures": [figure]} for name, figure in (("live", FIGURE), ("a", below), ("b", within))]
        lines = table([{"judgements": "set", "queries": 3, "columns": columns}]).splitlines()
        self.assertEqual(
            lines[2:],
            [
                "| set | 3 | as bundled | 0.500 (0.25 to 0.75) |",
                "|  |  | a | 0.500 (0.25 to 0.75) * |",
                "|  |  | b | 0.500 (0.25 to 0.75) |",
            ],
        )
