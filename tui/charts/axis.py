"""The numbers beside and below a chart, as text. Pure."""

from __future__ import annotations

from collections.abc import Callable
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


Labels = Callable[[float, float, int], list[tuple[float, str]]]
"""From the first and last x and a wanted count to (x, label) pairs in growing order."""


@dataclass(frozen=True)
class BottomAxis:
    """The axis line (with marks) and the labels below it, both of the chart's whole width."""

    line: str
    labels: str


def plain_labels(unit: str) -> Labels:
    """Round values of x itself, the last one with its unit."""

    def labels(first_x: float, last_x: float, count: int) -> list[tuple[float, str]]:
        found = [(value, number(value)) for value in ticks(Range(first_x, last_x), count)]
        if found and unit:
            found[-1] = (found[-1][0], f"{found[-1][1]} {unit}")
        return found

    return labels


def bottom_axis(
    glyphs: GlyphSet, width: int, first_x: float, last_x: float, marks: list[tuple[float, str]], labels_of: Labels
) -> BottomAxis:
    """`width` counts the cells of the plot without the gutter; `marks` are (x, sign) on the axis line."""
    line = [glyphs.horizontal] * width
    labels = [" "] * (GUTTER + width)
    slack = (last_x - first_x) * 1e-9  # a label computed from another unit may miss the end by a rounding
    for x, text in labels_of(first_x, last_x, max(2, width // 12)):
        if first_x - slack <= x <= last_x + slack:
            column = Plot.column_of(x, width, first_x, last_x)
            line[column] = glyphs.tick_below
            _write(labels, text, GUTTER + column)
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
