"""One series as dots in a grid of cells, redrawn only from the first column that changed. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from math import log10

from tui.charts.decimate import Column, ColumnView, Series
from tui.charts.glyphs import GlyphSet
from tui.charts.scale import Range

Masks = list[list[list[int]]]


def masks_of(glyphs: GlyphSet) -> Masks:
    """`masks[x][top][bottom]`: the bits of the dots of column `x` from row `top` to row `bottom` of a cell."""
    return [
        [
            [sum(glyphs.bit(x, y) for y in range(top, bottom + 1)) for bottom in range(glyphs.down)]
            for top in range(glyphs.down)
        ]
        for x in range(glyphs.across)
    ]


class Trace:
    """A series drawn as a joined line; where many points share a column the line widens into the band they span."""

    def __init__(self, series: Series, look: str, label: str) -> None:
        """`look` names the style the widget paints it in; `label` is what the legend calls it."""
        self.series = series
        self.look = look
        self.label = label
        self.view = ColumnView(series)
        self.rows: list[bytearray] = []
        self._masks: Masks = []
        self._down = 1
        self._across = 1

    def prepare(self, glyphs: GlyphSet, width: int, height: int) -> None:
        """Start with an empty grid of `width` x `height` cells."""
        self._masks = masks_of(glyphs)
        self._across, self._down = glyphs.across, glyphs.down
        self.rows = [bytearray(width) for _ in range(height)]

    def update(self, first_x: float, last_x: float, columns: int) -> int:
        """Bring the columns up to date; the first dot column whose picture may differ, `columns` when none does."""
        changed = self.view.update(first_x, last_x, columns)
        if changed >= columns:
            return columns
        before = self._last_filled(changed)
        return changed if before is None else before + 1

    def _last_filled(self, column: int) -> int | None:
        columns = self.view.columns
        for index in range(min(column, len(columns)) - 1, -1, -1):
            if columns[index] is not None:
                return index
        return None

    def extent(self) -> tuple[float, float, float] | None:
        """Lowest, lowest above zero (0 when none) and highest value in sight; None when nothing is in sight."""
        shown = [column for column in self.view.columns if column is not None]
        if not shown:
            return None
        low = min(column.low for column in shown)
        least_positive = low if low > 0 else min((column.low for column in shown if column.low > 0), default=0.0)
        return low, least_positive, max(column.high for column in shown)

    def draw(self, start: int, y_range: Range) -> None:
        """Clear and draw again from dot column `start` on (rounded down to a cell)."""
        start = start // self._across * self._across
        for row in self.rows:
            row[start // self._across :] = bytes(len(row) - start // self._across)
        place = _placer(y_range, len(self.rows) * self._down)
        before = self._last_filled(start)
        earlier = self.view.columns[before] if before is not None else None
        end = place(earlier.last) if earlier is not None else 0
        for index in range(start, len(self.view.columns)):
            column = self.view.columns[index]
            if column is None:
                continue
            if before is not None and earlier is not None and not self._broken(earlier, column):
                self._join(before, end, index, place(column.first))
            self._vertical(index, place(column.high), place(column.low))
            before, earlier, end = index, column, place(column.last)

    def _broken(self, before: Column, after: Column) -> bool:
        """Whether a value that is no number lies between two neighbouring columns."""
        gaps = self.series.gaps
        return bool(gaps) and bisect_right(gaps, after.first_x) > bisect_right(gaps, before.last_x)

    def _join(self, before: int, start: int, index: int, end: int) -> None:
        """A straight line from dot row `start` in column `before` to dot row `end` in column `index`."""
        span, last = index - before, start
        for step in range(1, span + 1):
            row = start + round((end - start) * step / span)
            top, bottom = (last + 1, row) if row > last else (row, last - 1) if row < last else (row, row)
            self._vertical(before + step, top, bottom)
            last = row

    def _vertical(self, column: int, top: int, bottom: int) -> None:
        across, down = self._across, self._down
        cell, masks = column // across, self._masks[column % across]
        first, last = top // down, bottom // down
        if first == last:
            self.rows[first][cell] |= masks[top % down][bottom % down]
            return
        self.rows[first][cell] |= masks[top % down][down - 1]
        whole = masks[0][down - 1]
        for row in range(first + 1, last):
            self.rows[row][cell] |= whole
        self.rows[last][cell] |= masks[0][bottom % down]


def _placer(y_range: Range, dots: int) -> Callable[[float], int]:
    """From a value to the dot row that shows it; values beyond the range land on its edge."""
    low = log10(y_range.low) if y_range.log else y_range.low
    high = log10(y_range.high) if y_range.log else y_range.high
    bottom = dots - 1
    scale = bottom / (high - low)

    def linear(value: float) -> int:
        row = bottom - int((value - low) * scale + 0.5)
        return 0 if row < 0 else min(row, bottom)

    def logarithmic(value: float) -> int:
        return linear(log10(value)) if value > 0 else bottom

    return logarithmic if y_range.log else linear
