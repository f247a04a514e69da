"""Maximal marginal relevance: each place goes to what is relevant and little like what stands above it.

Carbonell, Goldstein: The use of MMR, diversity-based reranking for reordering documents and producing summaries,
SIGIR 1998.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log, log1p, nan
from typing import NamedTuple

Texts = Sequence[str | None]
Known = list[str | int]
"""A text of each product. In the place of one that is missing stands a number of its own, which equals no other."""


class Above(NamedTuple):
    """A product that stands above another one."""

    place: int
    product: int


class Pick(NamedTuple):
    """A product for the next place. Scores never rise from one place to the next."""

    product: int
    score: float
    like: Above | None
    """What it is most like, of all that stands above."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What products are compared by."""

    categories: Known
    brands: Known
    colors: Known
    prices: list[float]
    """Logarithms, so that their difference is a proportion; NaN, which is near to nothing, where there is no price."""
    shares: tuple[float, float, float, float]
    """Of category, brand, colour and price in the likeness of two products; together 1."""
    span: float
    """The difference at which two prices are no longer near."""

    @classmethod
    def of(
        cls,
        *,
        categories: Texts,
        brands: Texts,
        colors: Texts,
        prices: Sequence[float | None],
        weights: tuple[float, float, float, float],
        price_span: float,
    ) -> "Looks":
        """One of the weights, which are those of category, brand, colour and price, is above 0."""
        total = sum(weights)
        category, brand, color, price = (weight / total for weight in weights)
        logarithms = [log(price) if price and price > 0.0 else nan for price in prices]
        return cls(
            _known(categories),
            _known(brands),
            _known(colors),
            logarithms,
            (category, brand, color, price),
            log1p(price_span),
        )

    def in_common(self, one: int, other: int) -> str:
        """For instance "same category, near price"."""
        shared = {
            "same category": self.categories[one] == self.categories[other],
            "same brand": self.brands[one] == self.brands[other],
            "same colour": self.colors[one] == self.colors[other],
            "near price": abs(self.prices[one] - self.prices[other]) < self.span,
        }
        # What counts nothing explains nothing.
        return ", ".join(words for (words, holds), share in zip(shared.items(), self.shares) if holds and share)


def spread(order: Sequence[int], scores: Sequence[float], looks: Looks, relevance: float, depth: int) -> Iterator[Pick]:
    """The products of `order`, whose `scores`, 0 to 1, do not rise. The first `depth` change places among each other; the
    others stay where they are.
    """
    if not order:
        return
    worth = [relevance * score for score in scores]
    yield from _picked(order[:depth], worth, looks, 1.0 - relevance)
    for product in order[depth:]:
        # As if it were the very like of something above: so none of them scores higher than one of the first.
        yield Pick(product, worth[product], None)


def _picked(pool: Sequence[int], worth: Sequence[float], looks: Looks, difference: float) -> Iterator[Pick]:
    # The innermost loop runs for every pair of the pool, so what it reads of a product lies in one row.
    rows = [
        (product, looks.categories[product], looks.brands[product], looks.colors[product], looks.prices[product])
        for product in pool
    ]
    of_category, of_brand, of_color, of_price = looks.shares
    span = looks.span
    likeness = dict.fromkeys(pool, 0.0)
    like: dict[int, Above] = {}
    picked = rows[0]
    for place in range(1, len(pool) + 1):
        above, category, brand, color, price = picked
        yield Pick(above, worth[above] + difference * (1.0 - likeness[above]), like.get(above))
        rows.remove(picked)
        stands = Above(place, above)
        highest = -inf
        for row in rows:
            product, other_category, other_brand, other_color, other_price = row
            alike = of_category if other_category == category else 0.0
            if other_brand == brand:
                alike += of_brand
            if other_color == color:
                alike += of_color
            if -span < (apart := other_price - price) < span:
                alike += of_price * (1.0 - abs(apart) / span)
            nearest = likeness[product]
            if alike > nearest:
                likeness[product] = nearest = alike
                like[product] = stands
            value = worth[product] - difference * nearest
            if value > highest:
                highest = value
                picked = row


def _known(values: Texts) -> Known:
    return [product if value is None else value for product, value in enumerate(values)]
