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
from wit_world.imports.media import Image, Video

__all__ = ["Leg", "Measure", "Part", "Query", "depth", "image", "leg_name", "text", "video"]


def text(part: Part) -> str | None:
    """The words of a part, if it holds words."""
    return part.content.value if isinstance(part.content, Content_Text) else None


def image(part: Part) -> Image | None:
    """The picture of a part, if it holds one."""
    return part.content.value if isinstance(part.content, Content_Image) else None


def video(part: Part) -> Video | None:
    """The video of a part, if it holds one."""
    return part.content.value if isinstance(part.content, Content_Video) else None


def depth(limit: int) -> int:
    """Hits per leg. More than the client pages through, because several images may be of one product and because
    products fall out in the ranking; never more than 1,000, which is what ranking is measured with.
    """
    return min(max(limit * 2, 100), 1000)


def leg_name(base: str, part: int) -> str:
    """The name of a leg: `base` for the first part, `base-2` for the second."""
    return base if part == 0 else f"{base}-{part + 1}"
