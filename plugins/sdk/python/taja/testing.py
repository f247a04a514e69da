"""Native tests, without a component: candidates made from products and legs by name, and answers read back by name.

    class Cases(unittest.TestCase):
        def test_cases(self) -> None:
            check_cases(Ranking().rank, Path(__file__).parent)

`taja plugin test` plays the same cases in the sandbox. The types of the contract have to be importable: README.md of a
plugin tells how. Needs Python 3.11.
"""

import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from componentize_py_types import Err

from .rank import NONE, Candidates, Leg, Matches, NumberColumn, Ranked, TextColumn
from .settings import InvalidSetting, Settings, schemas

Fields = Mapping[str, Any]
LIMIT = 1000


class Sample:
    """Candidates in the making. Products are numbered in the order in which the legs first name them."""

    def __init__(
        self,
        products: Mapping[str, Fields],
        legs: Sequence[Fields],
        *,
        numbers: Sequence[str] = (),
        texts: Sequence[str] = (),
        settings: Fields | None = None,
        limit: int = LIMIT,
    ) -> None:
        """`products` and `legs` as in a case of `tests/`; `numbers` and `texts` are the `[columns]` of the manifest."""
        self._products = products
        self._legs = legs
        self._columns = (numbers, texts)
        self._settings = settings or {}
        self._limit = limit
        hits = [hit for leg in legs for hit in leg["hits"]]
        self.names = list(dict.fromkeys(hit[0] for hit in hits))
        images = list(dict.fromkeys(_image(hit) for hit in hits if _image(hit)))
        self._images = {image: number for number, image in enumerate(images)}

    @classmethod
    def of_case(cls, path: Path, manifest: Path) -> "Sample":
        """A case of `tests/`, with the columns that the manifest asks for."""
        case = json.loads(path.read_text(encoding="utf-8"))
        columns = _toml(manifest).get("columns", {})
        return cls(
            case["products"],
            case["legs"],
            numbers=columns.get("numbers", ()),
            texts=columns.get("texts", ()),
            settings=case.get("settings"),
            limit=case.get("limit", LIMIT),
        )

    def candidates(self) -> Candidates:
        """What the plugin is asked to rank."""
        numbers, texts = self._columns
        return Candidates(
            legs=[_leg(leg) for leg in self._legs],
            product_count=len(self.names),
            matches=self._matches(),
            numbers=[NumberColumn(column, [_number(value) for value in self._values(column)]) for column in numbers],
            texts=[_text_column(column, self._values(column)) for column in texts],
            limit=self._limit,
            settings=json.dumps(self._settings),
        )

    def order(self, ranked: Ranked) -> list[str]:
        """The names of an answer, best first. Raises an AssertionError where the host would refuse the answer."""
        check_valid(self.candidates(), ranked)
        return [self.names[product] for product in ranked.products]

    def notes(self, ranked: Ranked, name: str) -> list[str]:
        """What is told of a product."""
        return [note.text for note in ranked.notes if self.names[ranked.products[note.place]] == name]

    def _matches(self) -> Matches:
        matches = Matches([], [], [], [])
        for place, leg in enumerate(self._legs):
            for hit in leg["hits"]:
                matches.legs.append(place)
                matches.products.append(self.names.index(hit[0]))
                matches.images.append(self._images.get(_image(hit), NONE))
                matches.scores.append(hit[1])
        return matches

    def _values(self, column: str) -> list[Any]:
        return [_value(name, self._products.get(name, {}), column) for name in self.names]


def check_cases(rank: Callable[[Candidates], Ranked], folder: Path) -> None:
    """Ranks every case in `tests/` and compares with what it expects. The manifest stands beside that folder."""
    cases = sorted(path for path in folder.glob("*.json") if not path.name.endswith(".recording.json"))
    assert cases, f"no cases in {folder}"
    for path in cases:
        _check_case(rank, path, folder.parent / "plugin.toml")


def check_manifest(settings: type[Settings], manifest: Path) -> None:
    """Holds the settings against the schema that operators read."""
    schema = _toml(manifest)["settings"]
    assert schema["additionalProperties"] is False, "an unknown setting must be refused"
    properties = schema["properties"]
    unset = settings.parse("")
    told = {}
    for name, rules in schemas(settings).items():
        default = getattr(unset, name)
        told[name] = {**rules, "default": list(default) if isinstance(default, tuple) else default}
    for name, given in properties.items():
        assert given.get("description"), f"{name} is not described"
    meant = ("type", "default", "minimum", "maximum", "enum", "maxItems")
    written = {name: {key: given[key] for key in meant if key in given} for name, given in properties.items()}
    assert written == told, f"plugin.toml says {written}, and the code {told}"


def check_valid(candidates: Candidates, ranked: Ranked) -> None:
    """Raises an AssertionError where the host would refuse the answer."""
    count, products = len(ranked.products), candidates.matches.products
    assert len(ranked.scores) == len(ranked.evidence_ends) == count, "the columns differ in length"
    assert len(set(ranked.products)) == count, "a product stands twice"
    assert all(0 <= product < candidates.product_count for product in ranked.products), "there is no such product"
    assert all(math.isfinite(score) for score in ranked.scores), "a score is no finite number"
    assert ranked.scores == sorted(ranked.scores, reverse=True), "scores rise"
    assert len(set(ranked.evidence)) == len(ranked.evidence), "a match is shown twice"
    begin = 0
    for product, end in zip(ranked.products, ranked.evidence_ends):
        assert begin <= end, "the ends of evidence fall"
        assert all(products[row] == product for row in ranked.evidence[begin:end]), "evidence of another product"
        begin = end
    assert begin == len(ranked.evidence), "the ends of evidence do not cover the evidence"
    assert len(ranked.notes) <= 100, "there are more than 100 notes"
    assert all(0 <= note.place < count for note in ranked.notes), "a note is about no place"


def _check_case(rank: Callable[[Candidates], Ranked], path: Path, manifest: Path) -> None:
    sample = Sample.of_case(path, manifest)
    expected = json.loads(path.read_text(encoding="utf-8"))["expect"]
    try:
        ranked = rank(sample.candidates())
    except (Err, InvalidSetting) as error:
        text = str(error.value) if isinstance(error, Err) else str(error)
        assert "error" in expected, f"{path.name}: {text}"
        assert expected["error"] in text, f"{path.name}: {text}"
        return
    assert "error" not in expected, f"{path.name}: no error"
    order = sample.order(ranked)
    if "order" in expected:
        assert order == expected["order"], f"{path.name}: {order}"
    first = expected.get("first", [])
    assert order[: len(first)] == first, f"{path.name}: {order}"
    for name, text in expected.get("notes", {}).items():
        notes = sample.notes(ranked, name)
        assert any(text in note for note in notes), f"{path.name}: {name} has the notes {notes}"


def _leg(leg: Fields) -> Leg:
    return Leg(leg["name"], leg["modality"], leg.get("measure") == "cosine", leg.get("weight", 1.0))


def _image(hit: Sequence[Any]) -> str:
    return hit[2] if len(hit) > 2 else ""


def _value(name: str, product: Fields, column: str) -> Any:
    if column in product or column == "name":
        return product.get(column, name)
    return product.get("attributes", {}).get(column.removeprefix("attributes."))


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return math.nan
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def _text_column(name: str, values: Sequence[Any]) -> TextColumn:
    texts = [value if isinstance(value, str) else json.dumps(value, separators=(",", ":")) for value in values]
    words = list(dict.fromkeys(text for text, value in zip(texts, values) if value is not None))
    codes = [NONE if value is None else words.index(text) for text, value in zip(texts, values)]
    return TextColumn(name, words, codes)


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
