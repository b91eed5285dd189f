"""Traces and marks laid over each other in a grid of cells, with the rows that changed. Pure.

A cell of the screen has one colour, so a later trace replaces the dots of an earlier one in the cells that both touch:
a thin bright average over a grey band. Mixing the dots would make the average as thick as the band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from tui.charts.glyphs import GlyphSet
from tui.charts.scale import Range, sticky_range
from tui.charts.trace import Trace

MARK_BASE = 128
"""Owners of cells: 0 nobody, 1 and up the traces in order, from here on the kinds of marks in order."""


@dataclass(frozen=True)
class Marks:
    """Single points that are drawn as a sign: evaluations, places where the loss was not a number."""

    look: str
    sign: str
    label: str
    points: Sequence[tuple[float, float]] = ()


@dataclass
class PlotRow:
    """One row of cells: the signs, and for each cell who drew it."""

    text: str = ""
    owners: bytearray = field(default_factory=bytearray)


class Plot:
    """Draws its traces into `rows`. Only the columns that got new points are drawn again."""

    def __init__(self, glyphs: GlyphSet) -> None:
        self.glyphs = glyphs
        self.traces: list[Trace] = []
        self.marks: list[Marks] = []
        self.rows: list[PlotRow] = []
        self.y_range: Range | None = None
        self.y_pinned: tuple[float, float] | None = None
        self.log = False
        self.sparse_look = ""
        """The look whose traces are drawn with every second dot, where no colour can tell them from the others."""
        self._drawn: tuple[object, ...] = ()
        self._bare: list[PlotRow] = []

    def draw(self, width: int, height: int, first_x: float, last_x: float) -> None:
        """Bring `rows` up to date for `width` x `height` cells over [first_x, last_x]."""
        columns = width * self.glyphs.across
        changed = [trace.update(first_x, last_x, columns) for trace in self.traces]
        self.y_range = self._fitted_range(first_x, last_x)
        drawn = (self.glyphs, width, height, first_x, last_x, self.y_range, tuple(self.traces))
        if drawn != self._drawn:
            self._drawn = drawn
            self._start_anew(width, height)
            changed = [0] * len(self.traces)
        for trace, start in zip(self.traces, changed, strict=True):
            if start < columns:
                trace.draw(start, self.y_range)
        self._lay_over(min(changed, default=columns) // self.glyphs.across, width)
        self._place_marks(width, height, first_x, last_x)

    def _start_anew(self, width: int, height: int) -> None:
        for trace in self.traces:
            trace.prepare(self.glyphs, width, height)
        self._bare = [PlotRow(" " * width, bytearray(width)) for _ in range(height)]

    def _fitted_range(self, first_x: float, last_x: float) -> Range:
        extents = [extent for trace in self.traces if (extent := trace.extent()) is not None]
        marked = [y for marks in self.marks for x, y in marks.points if first_x <= x <= last_x and isfinite(y)]
        low = min([extent[0] for extent in extents] + marked, default=0.0)
        high = max([extent[2] for extent in extents] + marked, default=1.0)
        if self.y_pinned is not None:
            low, high = min(low, self.y_pinned[0]), max(high, self.y_pinned[1])
        if self.log:
            positive = [extent[1] for extent in extents if extent[1] > 0] + [y for y in marked if y > 0]
            if positive and high > 0:
                return sticky_range(self.y_range, min(positive), high, log=True)
        return sticky_range(self.y_range, low, high)

    def _lay_over(self, start: int, width: int) -> None:
        """Put the traces over each other from cell column `start` on."""
        if start >= width:
            return
        table = self.glyphs.translation
        for number, row in enumerate(self._bare):
            dots = bytearray(width - start)
            owners = bytearray(width - start)
            for owner, trace in enumerate(self.traces, 1):
                part = trace.rows[number][start:]
                if not any(part):
                    continue
                kept = self.glyphs.sparse if trace.look == self.sparse_look else -1
                for cell, bits in enumerate(part):
                    if bits:
                        dots[cell] = bits & kept or bits  # a dot that stands alone stays
                        owners[cell] = owner
            row.text = row.text[:start] + dots.decode("latin-1").translate(table)
            row.owners[start:] = owners

    def _place_marks(self, width: int, height: int, first_x: float, last_x: float) -> None:
        signs: dict[int, dict[int, tuple[str, int]]] = {}
        assert self.y_range is not None
        for kind, marks in enumerate(self.marks):
            for x, y in marks.points:
                if first_x <= x <= last_x:
                    column = self.column_of(x, width, first_x, last_x)
                    signs.setdefault(self._row_of(y, height), {})[column] = (marks.sign, MARK_BASE + kind)
        self.rows = [
            self._bare[number] if number not in signs else _with_signs(self._bare[number], signs[number])
            for number in range(height)
        ]

    def _row_of(self, y: float, height: int) -> int:
        assert self.y_range is not None
        if not isfinite(y) or (self.y_range.log and y <= 0):
            return 0
        dots = height * self.glyphs.down
        row = dots - 1 - int(self.y_range.position(y) * (dots - 1) + 0.5)
        return min(height - 1, max(0, row // self.glyphs.down))

    @staticmethod
    def column_of(x: float, width: int, first_x: float, last_x: float) -> int:
        """The cell column that shows `x`."""
        return min(width - 1, max(0, int((x - first_x) / (last_x - first_x) * width)))


def _with_signs(bare: PlotRow, signs: dict[int, tuple[str, int]]) -> PlotRow:
    text, owners = list(bare.text), bytearray(bare.owners)
    for column, (sign, owner) in signs.items():
        text[column], owners[column] = sign, owner
    return PlotRow("".join(text), owners)
