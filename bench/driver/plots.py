"""Plots of rows, one file each."""

import re
from pathlib import Path
from typing import Any

from driver import report, svg
from driver.report import Row
from driver.statistics import Figure

LABELS = {
    "taja": "Taja",
    "taja-shared": "Taja, same servers",
    "python": "Python service",
    "python-memory": "Python service, vectors kept",
}


def slug(text: str) -> str:
    """A file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def write_plots(folder: Path, scenario: str, rows: list[Any]) -> list[Path]:
    """Draws them; what was drawn of this scenario before goes."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{scenario}--*.svg"):
        old.unlink()
    drawn = [_of_row(row) for row in rows] if scenario != "inference" else _of_lines(rows)
    written = []
    for name, text in filter(None, drawn):
        path = folder / f"{scenario}--{name}.svg"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _of_row(row: Row) -> tuple[str, str] | None:
    bars = [_bar(name, LABELS.get(name, name), figure, row.unit) for name, figure in row.figures.items()]
    if not bars:
        return None
    better = "lower is better" if row.lower_is_better else "higher is better"
    title = f"{row.scenario}: {row.measure}"
    return slug(title), svg.bars(title, "; ".join(filter(None, [row.load, better])), bars)


def _of_lines(lines: list[Any]) -> list[tuple[str, str]]:
    drawn = []
    for model in dict.fromkeys(line.model for line in lines):
        for batch, title in ((1, "one picture"), (8, "eight at once, per picture")):
            bars = [
                _bar(line.name, line.title.split(" (")[0], line.figures[batch], "ms")
                for line in lines
                if line.model == model and batch in line.figures
            ]
            text = svg.bars(f"JPEG to vector, {model}, {title}", "milliseconds, lower is better", bars)
            drawn.append((slug(f"{model} {batch}"), text))
    return drawn


def _bar(name: str, label: str, figure: Figure, unit: str) -> svg.Bar:
    return svg.Bar(name, label, figure.median, f"{report.number(figure.median)} {unit}", figure.lowest, figure.highest)
