"""Orders products by relevance, and keeps look-alikes from standing in a row."""

from dataclasses import dataclass

from diversity import Looks, Pick, spread
from taja import policy, settings
from taja.rank import Answer, Candidates, Ranked, best, numbers, texts
from taja.settings import InvalidSetting, number, whole
from wit_world import exports


@dataclass(frozen=True)
class Settings(settings.Settings):
    """The settings, with the defaults of `plugin.toml`."""

    k: float = number(60, least=1, most=10_000)
    relevance: float = number(0.8, least=0, most=1)
    depth: int = whole(50, least=1, most=500)
    category_weight: float = number(0.4, least=0, most=1)
    brand_weight: float = number(0.3, least=0, most=1)
    color_weight: float = number(0.15, least=0, most=1)
    price_weight: float = number(0.15, least=0, most=1)
    price_span: float = number(0.25, least=0.01, most=10)
    notes: int = whole(10, least=0, most=100)


class Ranking(exports.Ranking):
    @policy
    def rank(self, candidates: Candidates) -> Ranked:
        settings = Settings.parse(candidates.settings)
        looks = looks_of(candidates, settings)
        fused = best(candidates).fused(settings.k)
        order = sorted(range(len(fused)), key=fused.__getitem__, reverse=True)
        before = {product: place for place, product in enumerate(order, 1)}
        answer = Answer(candidates)
        for place, pick in enumerate(spread(order, fused, looks, settings.relevance, settings.depth), 1):
            told = place <= settings.notes
            answer.put(pick.product, pick.score, note(place, before[pick.product], pick, looks) if told else "")
        return answer.finish_in_order()


def looks_of(candidates: Candidates, settings: Settings) -> Looks:
    weights = (settings.category_weight, settings.brand_weight, settings.color_weight, settings.price_weight)
    if not any(weights):
        raise InvalidSetting("", "leave nothing to compare: one of the four weights must be above 0")
    return Looks.of(
        categories=texts(candidates, "category"),
        brands=texts(candidates, "attributes.brand"),
        colors=texts(candidates, "color"),
        prices=numbers(candidates, "price"),
        weights=weights,
        price_span=settings.price_span,
    )


def note(place: int, before: int, pick: Pick, looks: Looks) -> str:
    """What was moved, and why; empty for what stands where relevance alone would have it."""
    if place < before:
        return f"up from {before}: little like what stands above"
    if place > before and pick.like:
        return f"down from {before}: like place {pick.like.place}, {looks.in_common(pick.product, pick.like.product)}"
    return ""
