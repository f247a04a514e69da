"""Bar charts as SVG."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 720
LABEL_WIDTH = 250
VALUE_WIDTH = 130
BAR = 18
GAP = 6
GROUP_GAP = 14
TOP = 46
COLOURS = {"taja": "#0b7a75", "taja-shared": "#6aa84f", "python": "#c0504d"}
OTHER_COLOUR = "#5b6b8c"
FONT = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True)
class Bar:
    """One bar: whose it is, what is written beside it, how long it is; `low` and `high` are the spread."""

    name: str
    label: str
    value: float
    text: str
    low: float
    high: float


def bars(title: str, subtitle: str, items: list[Bar]) -> str:
    """A chart of horizontal bars, longest value at full width."""
    longest = max((bar.high for bar in items), default=0) or 1
    room = WIDTH - LABEL_WIDTH - VALUE_WIDTH
    height = TOP + len(items) * (BAR + GAP) + GROUP_GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="20" {FONT} font-weight="bold">{escape(title)}</text>',
        f'<text x="10" y="36" {FONT} fill="#555555">{escape(subtitle)}</text>',
    ]
    for place, bar in enumerate(items):
        parts.extend(_bar(bar, TOP + place * (BAR + GAP), room / longest))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(bar: Bar, top: int, scale: float) -> list[str]:
    colour = COLOURS.get(bar.name, OTHER_COLOUR)
    middle, baseline = top + BAR / 2, top + BAR - 5
    low, high = LABEL_WIDTH + bar.low * scale, LABEL_WIDTH + bar.high * scale
    return [
        f'<text x="{LABEL_WIDTH - 8}" y="{baseline}" {FONT} text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{LABEL_WIDTH}" y="{top}" width="{bar.value * scale:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="#222222"/>',
        f'<text x="{high + 6:.1f}" y="{baseline}" {FONT}>{escape(bar.text)}</text>',
    ]
