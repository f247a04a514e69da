"""The contract of search plugins: parts of a query in, ranked lists out."""

from wit_world.exports.searching import (
    Content_Image,
    Content_Text,
    Content_Video,
    Leg,
    Measure,
    Part,
    Query,
)
from wit_world.imports import catalogue
from wit_world.imports.embed import Embeddings
from wit_world.imports.media import Image, Video

__all__ = ["Leg", "Measure", "Part", "Query", "depth", "image", "leg_name", "nearest", "text", "video"]


def text(part: Part) -> str | None:
    """The words of a part, if it holds words."""
    return part.content.value if isinstance(part.content, Content_Text) else None


def image(part: Part) -> Image | None:
    """The picture of a part, if it holds one."""
    return part.content.value if isinstance(part.content, Content_Image) else None


def video(part: Part) -> Video | None:
    """The video of a part, if it holds one."""
    return part.content.value if isinstance(part.content, Content_Video) else None


DEEPEST = 1000
"""Most hits that a leg should have, and that the host answers: what ranking is measured with."""


def depth(limit: int) -> int:
    """Hits per leg: a quarter more than the client pages through, because products fall out in the ranking; 100 to 1,000."""
    return min(max(limit + limit // 4, 100), DEEPEST)


def nearest(vectors: Embeddings, limit: int) -> catalogue.Hits:
    """The images nearest to the vectors, of as many products as the client pages through: where the first `depth` are of
    fewer, because products have several images, the nearest 1,000.
    """
    asked = depth(limit)
    hits = catalogue.nearest(vectors, "", asked)
    # A list that is fused alone has one row per product.
    with catalogue.Hits.fuse([hits], [1.0], 60.0) as fused:
        products = fused.count()
    is_short = products < limit and hits.count() >= asked and asked < DEEPEST
    return catalogue.nearest(vectors, "", DEEPEST) if is_short else hits


def leg_name(base: str, part: int) -> str:
    """The name of a leg: `base` for the first part, `base-2` for the second."""
    return base if part == 0 else f"{base}-{part + 1}"
