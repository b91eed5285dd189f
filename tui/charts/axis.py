"""The numbers beside and below a chart, as text. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tui.charts.glyphs import GlyphSet
from tui.charts.plot import Plot
from tui.charts.scale import Range, number, ticks

GUTTER = 8
"""Columns to the left of the plot: a label of at most six characters, a blank and the axis."""


def left_axis(glyphs: GlyphSet, shown: Range, height: int) -> list[str]:
    """One text of `GUTTER` columns for each of `height` rows, with round values where they belong."""
    labels: dict[int, str] = {}
    for value in ticks(shown, max(2, height // 2)):
        dots = height * glyphs.down
        row = (dots - 1 - int(shown.position(value) * (dots - 1) + 0.5)) // glyphs.down
        labels.setdefault(row, number(value))
    return [
        f"{labels[row]:>{GUTTER - 2}} {glyphs.tick_left}" if row in labels else " " * (GUTTER - 1) + glyphs.vertical
        for row in range(height)
    ]


@dataclass(frozen=True)
class BottomAxis:
    """The axis line (with marks) and the labels below it, both of the chart's whole width."""

    line: str
    labels: str


def bottom_axis(
    glyphs: GlyphSet, width: int, first_x: float, last_x: float, marks: list[tuple[float, str]], unit: str
) -> BottomAxis:
    """`width` counts the cells of the plot without the gutter; `marks` are (x, sign) on the axis line."""
    line = [glyphs.horizontal] * width
    labels = [" "] * (GUTTER + width)
    values = ticks(Range(first_x, last_x), max(2, width // 12))
    for value in values:
        column = Plot.column_of(value, width, first_x, last_x)
        line[column] = glyphs.tick_below
        _write(labels, f"{number(value)} {unit}" if value == values[-1] and unit else number(value), GUTTER + column)
    for x, sign in marks:
        if first_x <= x <= last_x:
            line[Plot.column_of(x, width, first_x, last_x)] = sign
    return BottomAxis(" " * (GUTTER - 1) + glyphs.corner + "".join(line), "".join(labels))


def _write(cells: list[str], text: str, centre: int) -> None:
    """Write `text` around column `centre`, moved inwards at the ends, and left out where it would touch another."""
    start = max(0, min(len(cells) - len(text), centre - len(text.split(" ")[0]) // 2))
    if any(cell != " " for cell in cells[max(0, start - 1) : start + len(text) + 1]):
        return
    cells[start : start + len(text)] = list(text)
