"""The chart on the screen: a `Plot` between its title row and its axes, with a window, a zoom and a reading cursor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.events import Resize

from tui.charts.axis import GUTTER, Labels, bottom_axis, left_axis, plain_labels
from tui.charts.cell_rows import CellRows, OwnedRow
from tui.charts.decimate import Series
from tui.charts.glyphs import BRAILLE, GlyphSet
from tui.charts.legend import Run, legend, reading
from tui.charts.plot import MARK_BASE, Marks, Plot
from tui.charts.trace import Trace
from tui.charts.window import Window

FIRST_OWN, OWN_LOOKS = 253, ("title", "cursor", "bad")
"""Owners that are the chart's own, behind all traces and marks."""


@dataclass(frozen=True)
class AxisMark:
    """A sign on the x axis: a checkpoint, a rewind."""

    x: float
    sign: str
    label: str = ""


class LineChart(CellRows):
    """Lines over a common x. Fill the `Series`, then call `redraw`; nothing is drawn otherwise."""

    DEFAULT_CSS = "LineChart { height: 1fr; width: 1fr; min-height: 3; }"

    def __init__(
        self, title: str, glyphs: GlyphSet = BRAILLE, unit: str = "", id: str | None = None,  # noqa: A002 - Textual's name
        compact: bool = False,
    ) -> None:  # fmt: skip
        """`unit` is what x counts (`steps`); `compact` leaves the x axis away, for a small chart under a large one."""
        super().__init__(id)
        self.chart_title = title
        self.unit = unit
        self.compact = compact
        self.labels: Labels | None = None  # of the x axis, where they are not round values of x
        self.plot = Plot(glyphs)
        self.plot.sparse_look = "raw" if "NO_COLOR" in os.environ else ""
        self.window = Window()
        self.axis_marks: list[AxisMark] = []
        self.cursor: float | None = None
        self._owners: list[str] = []

    def add_line(self, series: Series, look: str, label: str = "") -> Trace:
        """Draw `series` in the look of that name (tui.widgets.looks), over what was added before."""
        trace = Trace(series, look, label)
        self.plot.traces.append(trace)
        return trace

    def set_marks(self, marks: Sequence[Marks]) -> None:
        """Replace the point marks."""
        self.plot.marks = list(marks)

    @property
    def newest(self) -> float:
        """The greatest x of any point; 0 without points."""
        return max((trace.series.xs[-1] for trace in self.plot.traces if len(trace.series)), default=0.0)

    def use_glyphs(self, glyphs: GlyphSet) -> None:
        """Change how cells are drawn."""
        self.plot.glyphs = glyphs
        self.redraw()

    def toggle_log(self) -> bool:
        """Switch between a linear and a logarithmic y axis; whether it is logarithmic now."""
        self.plot.log = not self.plot.log
        self.redraw()
        return self.plot.log

    def zoom(self, factor: float) -> None:
        """Come closer (below 1) or step back, around the cursor or else the newest point."""
        centre = self.cursor if self.cursor is not None else self.newest
        self.window.zoom(factor, centre, self.newest)
        self.redraw()

    def reset_view(self) -> None:
        """Show the whole axis and take the cursor away."""
        self.window.reset()
        self.cursor = None
        self.redraw()

    def move_cursor(self, cells: int) -> None:
        """Move the reading cursor by so many cells; it starts at the newest point and stays on points."""
        if not self.plot.traces or not len(self.plot.traces[0].series):
            return
        series = self.plot.traces[0].series
        first, last = self.window.bounds(self.newest)
        step = (last - first) / max(1, self._plot_size()[0]) * cells
        index = series.nearest(self.newest if self.cursor is None else self.cursor)
        assert index is not None
        target = series.nearest(series.xs[index] + step)
        assert target is not None
        if target == index and self.cursor is not None:
            target = min(len(series) - 1, max(0, index + (1 if cells > 0 else -1)))
        self.cursor = series.xs[target]
        self.window.bring_in(self.cursor, self.newest)
        self.redraw()

    def _plot_size(self) -> tuple[int, int]:
        below = 0 if self.compact else 2
        return self.size.width - GUTTER, self.size.height - 1 - below

    def redraw(self) -> None:
        """Draw what is new and refresh the cells that differ from the screen."""
        width, height = self._plot_size()
        if width < 4 or height < 1:
            self.show_nothing()
            return
        first, last = self.window.bounds(self.newest)
        self.plot.draw(width, height, first, last)
        self._owners = ["axis", *(trace.look for trace in self.plot.traces)]
        self.show_rows([self._title_row(), *self._plot_rows(height), *self._axis_rows(width, first, last)])

    def _title_row(self) -> OwnedRow:
        runs = self._title_runs()
        text = "".join(part for part, _ in runs)[: self.size.width].ljust(self.size.width)
        owners = bytearray()
        for part, look in runs:
            owners += bytes([self._owner(look)]) * len(part)
        return text, bytes(owners[: len(text)].ljust(len(text), b"\0"))

    def _owner(self, look: str) -> int:
        if look in self._owners:
            return self._owners.index(look)
        for kind, marks in enumerate(self.plot.marks):
            if marks.look == look:
                return MARK_BASE + kind
        return FIRST_OWN + OWN_LOOKS.index(look) if look in OWN_LOOKS else 0

    def look_of(self, owner: int) -> str:
        """The look of the axes, of a trace, of a kind of marks, or of the chart's own words."""
        if owner >= FIRST_OWN:
            return OWN_LOOKS[owner - FIRST_OWN]
        return self.plot.marks[owner - MARK_BASE].look if owner >= MARK_BASE else self._owners[owner]

    def legend(self) -> list[Run]:
        """The title row: the name, each line with its last value, and how the axes are bent."""
        extra = [words for words, said in (("log scale", self.is_log), ("zoomed", self.window.zoomed)) if said]
        signs = {mark.label: mark.sign for mark in self.axis_marks} if self.size.width >= 100 else {}
        traces = self.plot.traces[:1] if self.compact else self.plot.traces
        return legend(self.chart_title, self.plot.glyphs, traces, self.plot.marks, signs, extra, self.plot.sparse_look)

    @property
    def is_log(self) -> bool:
        """Whether the y axis is logarithmic; it is not while there is nothing above zero."""
        return self.plot.y_range is not None and self.plot.y_range.log

    def _title_runs(self) -> list[Run]:
        if self.cursor is None:
            return self.legend()
        return reading(self.cursor, self.unit, self.chart_title, self.plot.traces, self.plot.marks)

    def _plot_rows(self, height: int) -> Iterable[OwnedRow]:
        assert self.plot.y_range is not None
        for label, row in zip(left_axis(self.plot.glyphs, self.plot.y_range, height), self.plot.rows, strict=True):
            yield label + row.text, bytes(GUTTER) + bytes(row.owners)

    def _axis_rows(self, width: int, first: float, last: float) -> list[OwnedRow]:
        if self.compact:
            return []
        marks = [(mark.x, mark.sign) for mark in self.axis_marks]
        if self.cursor is not None:
            marks.append((self.cursor, self.plot.glyphs.cursor))
        axis = bottom_axis(self.plot.glyphs, width, first, last, marks, self.labels or plain_labels(self.unit))
        owners = bytearray(len(axis.line))
        if self.cursor is not None and first <= self.cursor <= last:
            owners[GUTTER + Plot.column_of(self.cursor, width, first, last)] = FIRST_OWN + OWN_LOOKS.index("cursor")
        return [(axis.line, bytes(owners)), (axis.labels, bytes(len(axis.labels)))]

    def on_resize(self, event: Resize) -> None:
        """Draw for the new size."""
        self.forget()
        self.redraw()
