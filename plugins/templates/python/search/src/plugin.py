"""Looks words up by their meaning and as keywords, one leg each."""

from dataclasses import dataclass

from componentize_py_types import Err
from taja import log, policy, settings
from taja.search import Leg, Measure, Query, depth, leg_name, nearest, text
from taja.settings import number
from wit_world import exports
from wit_world.imports import catalogue, embed
from wit_world.imports.types import Error_Unavailable


@dataclass(frozen=True)
class Settings(settings.Settings):
    """The settings, with the defaults of `plugin.toml`."""

    vector_weight: float = number(0.5, least=0.01, most=10)
    keyword_weight: float = number(0.5, least=0.01, most=10)


class Searching(exports.Searching):
    @policy
    def search(self, query: Query) -> list[Leg]:
        settings = Settings.parse(query.settings)
        legs = []
        for place, part in enumerate(query.parts):
            words = text(part)
            if not words:
                raise Err(f"part {place} holds no words")
            name, weight = leg_name("{{name}}-keyword", place), settings.keyword_weight * part.weight
            found = catalogue.keyword(words, "", depth(query.limit))
            legs.append(Leg(name, place, Measure.RELEVANCE, weight, found))
            if similar := near(words, query.limit):
                name, weight = leg_name("{{name}}-vector", place), settings.vector_weight * part.weight
                legs.append(Leg(name, place, Measure.COSINE, weight, similar))
        return legs


def near(words: str, limit: int) -> catalogue.Hits | None:
    """The images nearest to the words; none while the model is not there, for keywords are better than nothing."""
    try:
        with embed.texts([words]) as vectors:
            return nearest(vectors, limit)
    except Err as error:
        if not isinstance(error.value, Error_Unavailable):
            raise
        log.warn(f"searched by keywords alone: {error.value.value}")
        return None
