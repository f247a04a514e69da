"""What was measured, as rows; the rows as a Markdown table between two markers of a file."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from driver.statistics import Figure, ratio

BEGIN = "<!-- begin: {name} -->"
END = "<!-- end: {name} -->"
NOT_MEASURED = "not measured"

HEADINGS = ("scenario", "measure", "Taja", "Taja, same servers", "Python service", "Taja / Python", "same servers / Python", "better")


@dataclass
class Row:
    """One measure of one scenario, for each contender that was measured."""

    scenario: str
    measure: str
    unit: str
    lower_is_better: bool
    figures: dict[str, Figure] = field(default_factory=dict)
    load: str = ""
    notes: dict[str, str] = field(default_factory=dict)  # why a contender has no figure

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def cell(figure: Figure | None, unit: str, note: str = "") -> str:
    """The median with its unit, and the spread of the rounds where there are several."""
    if figure is None:
        return note or NOT_MEASURED
    text = f"{number(figure.median)} {unit}"
    if len(figure.rounds) > 1:
        text += f" ({number(figure.lowest)} to {number(figure.highest)})"
    return f"{text}; {note}" if note else text


def ratio_cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value >= 0.095 else f"{value:.3f}"


def render(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(headings)]
    lines.append(["---"] * len(lines[0]))
    lines.extend([text.replace("|", "\\|") for text in row] for row in rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def table(rows: Iterable[Row]) -> str:
    """The table of services."""
    return render(HEADINGS, (_cells(row) for row in rows))


def _cells(row: Row) -> list[str]:
    python = row.figures.get("python")
    cells = [row.scenario + (f" ({row.load})" if row.load else ""), row.measure]
    cells += [cell(row.figures.get(name), row.unit, row.notes.get(name, "")) for name in ("taja", "taja-shared", "python")]
    cells += [ratio_cell(ratio(row.figures.get(name), python)) for name in ("taja", "taja-shared")]
    return [*cells, "lower" if row.lower_is_better else "higher"]


def between_markers(text: str, name: str, content: str) -> str:
    """The text with what stands between the markers of that name replaced."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the markers of {name} do not stand once each, in order")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{content.strip()}\n{end}{after}"


def write_between_markers(path: Path, name: str, content: str) -> None:
    path.write_text(between_markers(path.read_text(encoding="utf-8"), name, content), encoding="utf-8")
