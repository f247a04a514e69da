"""The contract of rank plugins: candidates in, an order out."""

from dataclasses import dataclass
from math import inf, isfinite, isnan

from wit_world.exports.ranking import (
    Candidates,
    Leg,
    Matches,
    Note,
    NumberColumn,
    Ranked,
    TextColumn,
)

__all__ = [
    "NONE",
    "Answer",
    "Best",
    "Candidates",
    "Leg",
    "Matches",
    "Note",
    "NumberColumn",
    "Ranked",
    "TextColumn",
    "best",
    "numbers",
    "texts",
]

NONE = 4294967295
"""Stands in a column where there is nothing: a match by no image, a text that is missing."""
MAX_NOTES = 100
MAX_SCORE = 3.4e38
"""Scores travel as 32-bit floats."""


def numbers(candidates: Candidates, name: str) -> list[float | None]:
    """A numeric attribute of every product, in the order of the product numbers; None where it is missing."""
    for column in candidates.numbers:
        if column.name == name:
            return [None if isnan(value) else value for value in column.values]
    raise _not_asked_for(name, "numbers")


def texts(candidates: Candidates, name: str) -> list[str | None]:
    """A text attribute of every product, in the order of the product numbers; None where it is missing."""
    for column in candidates.texts:
        if column.name == name:
            words = column.dictionary
            return [None if code == NONE else words[code] for code in column.codes]
    raise _not_asked_for(name, "texts")


def _not_asked_for(name: str, kind: str) -> LookupError:
    return LookupError(f'column {name} was not asked for: add "{name}" to {kind} under [columns] in plugin.toml')


@dataclass(frozen=True, slots=True)
class Best:
    """The best match of each product in each leg."""

    products: int
    weights: list[float]
    """What each leg counts, against its products where it is below 0; 0 where its weight is no number."""
    rows: list[dict[int, int]]
    """For each leg the products it found, best first, each with the place of its best match in `candidates.matches`."""

    def fused(self, k: float = 60.0) -> list[float]:
        """Reciprocal-rank fusion, one score per product: the sum of weight / (k + rank) over the legs, as a share of
        what a product gets that is first in every leg with a match that counts for it. So 1 at most, and 0 for what
        loses more by legs whose weight is below 0 than it gains by the others.
        (Cormack, Clarke, Buettcher: Reciprocal rank fusion, SIGIR 2009; they use k = 60.)
        """
        scores = [0.0] * self.products
        most = 0.0
        for weight, rows in zip(self.weights, self.rows):
            if rows:
                most += max(weight, 0.0) / (k + 1.0)
            for rank, product in enumerate(rows, 1):
                scores[product] += weight / (k + rank)
        return [min(max(score / most, 0.0), 1.0) if most > 0.0 else 0.0 for score in scores]


def best(candidates: Candidates) -> Best:
    """The best match of each product in each leg.

    Ranks count products, not matches: a product with five matching images takes one place of a leg and pushes nobody
    down.
    """
    rows: list[dict[int, int]] = [{} for _ in candidates.legs]
    matches = candidates.matches
    for row, (leg, product) in enumerate(zip(matches.legs, matches.products)):
        # Rows stand best first, so the first of a product is its best.
        rows[leg].setdefault(product, row)
    weights = [leg.weight if isfinite(leg.weight) else 0.0 for leg in candidates.legs]
    return Best(candidates.product_count, weights, rows)


class Answer:
    """An answer that the host takes, however it is put together."""

    def __init__(self, candidates: Candidates, *, evidence: int = 3) -> None:
        """Shows at most `evidence` matching images of each product."""
        self._candidates = candidates
        self._evidence = evidence
        self._scores: dict[int, float] = {}
        self._notes: dict[int, str] = {}

    def put(self, product: int, score: float, note: str = "") -> None:
        """Puts a product in, and tells why it stands where it does. What is never put is not shown."""
        if not 0 <= product < self._candidates.product_count:
            raise ValueError(f"product {product} is not among the {self._candidates.product_count} candidates")
        if product in self._scores:
            raise ValueError(f"product {product} was put twice")
        if not -MAX_SCORE <= score <= MAX_SCORE:
            raise ValueError(f"the score of product {product} is no finite number")
        self._scores[product] = score
        if note:
            self._notes[product] = note

    def finish(self) -> Ranked:
        """The order by score; of equal scores the one that was put first. As many as the client can page through."""
        order = sorted(self._scores, key=self._scores.__getitem__, reverse=True)
        return self._ranked(order)

    def finish_in_order(self) -> Ranked:
        """The order in which the products were put. Scores may not rise, so one that does is lowered to the one before."""
        least = inf
        for product, score in self._scores.items():
            least = min(least, score)
            self._scores[product] = least
        return self._ranked(list(self._scores))

    def _ranked(self, order: list[int]) -> Ranked:
        order = order[: self._candidates.limit]
        rows: list[list[int]] = [[] for _ in range(self._candidates.product_count)]
        for row, product in enumerate(self._candidates.matches.products):
            rows[product].append(row)
        evidence: list[int] = []
        ends: list[int] = []
        for product in order:
            evidence += self._shown(rows[product])
            ends.append(len(evidence))
        notes = [Note(place, self._notes[product]) for place, product in enumerate(order) if product in self._notes]
        scores = [self._scores[product] for product in order]
        return Ranked(order, scores, evidence, ends, notes[:MAX_NOTES])

    def _shown(self, rows: list[int]) -> list[int]:
        """One match for each image, highest cosine first; a match by words where no image matched."""
        images = self._candidates.matches.images
        by_image = [row for row in rows if images[row] != NONE]
        if len(by_image) > 1:
            by_image.sort(key=self._cosine, reverse=True)
            best_of: dict[int, int] = {}
            for row in by_image:
                best_of.setdefault(images[row], row)
            by_image = list(best_of.values())
        return (by_image or rows[:1])[: self._evidence]

    def _cosine(self, row: int) -> float:
        """Of a match; less than any where the score is none."""
        matches = self._candidates.matches
        score = matches.scores[row]
        return score if self._candidates.legs[matches.legs[row]].cosine and not isnan(score) else -inf
