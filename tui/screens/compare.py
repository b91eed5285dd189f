"""Compare: the losses of several runs over each other, and where their recipes differ."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding

from engine.runs.store import Run, list_runs
from tui.charts.glyphs import glyphs_for
from tui.charts.line_chart import LineChart
from tui.screens.side_page import SidePage
from tui.text import one_line
from tui.watch.comparing import AXES, OUTCOMES, Compared, differences, outcome
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line
from tui.widgets.rows import Row
from tui.widgets.text_lines import TextLines

MOST = 6
"""More curves than colours cannot be told apart."""
NAME_CELLS = 18
LABEL_CELLS = 34


def neighbours(run: Run) -> list[Run]:
    """`run` and the runs beside it that were written to last, six in all."""
    others = [other for other in list_runs(run.path.parent) if other.path != run.path and other.events_path.exists()]
    return [run, *others[: MOST - 1]]


class CompareScreen(SidePage):
    """Reads the runs in small bites, draws when each is read, and does not follow them further."""

    CSS_PATH = "compare.tcss"
    AUTO_FOCUS = "#table"
    BINDINGS: ClassVar = [
        Binding("t", "axis", "Steps, tokens or time", id="compare.axis", tooltip="What the curves are lined up by."),
        Binding("y", "log_scale", "Log scale", id="compare.log_scale",
                tooltip="Switch the loss axis between linear and logarithmic."),
        Binding("plus,equals_sign", "zoom(0.5)", "Closer", show=False, id="compare.closer"),
        Binding("minus", "zoom(2.0)", "Wider", show=False, id="compare.wider"),
        Binding("q,escape", "back", "Back", id="compare.back"),
    ]  # fmt: skip

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__()
        self.compared = [Compared.of(run) for run in runs[:MOST]]
        self.by = AXES[0]

    def compose(self) -> ComposeResult:
        glyphs = glyphs_for(os.environ, getattr(sys.__stderr__, "encoding", None) or "utf-8")
        yield Line([[(" Compare", "strong"), (f"  {len(self.compared)} runs, smoothed loss", "dim")]], id="header")
        yield LineChart("Loss", glyphs, unit="steps", id="chart")
        yield TextLines(id="table")
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin to read."""
        self._read()

    def _read(self) -> None:
        for one in self.compared:
            one.feed.poll()
            if one.feed.behind:
                share = sum(each.feed.share_read for each in self.compared) / len(self.compared)
                self.query_one("#header", Line).say(f" Compare  reading {share:.0%}", "key")
                self.set_timer(0.001, self._read)
                return
        for one in self.compared:
            one.build()
        self._draw()
        self._fill_table()

    def _draw(self) -> None:
        chart = self.query_one(LineChart)
        chart.plot.traces.clear()
        chart.unit = self.by
        for number, one in enumerate(self.compared, 1):
            chart.add_line(one.curves[self.by], f"series-{number}", one_line(one.run.name, NAME_CELLS))
        chart.window.reset()
        chart.window.planned_end = chart.newest
        chart.redraw()
        words = f"  {len(self.compared)} runs, smoothed loss by {self.by}"
        self.query_one("#header", Line).put([(" Compare", "strong"), (words, "dim")])

    def _fill_table(self) -> None:
        table = self.query_one(TextLines)
        table.clear()
        names = [one_line(one.run.name, NAME_CELLS - 2) for one in self.compared]
        looks = [f"series-{number}" for number in range(1, len(names) + 1)]
        rows: list[Row] = [_row("", names, looks)]
        outcomes = [outcome(one) for one in self.compared]
        rows += [_row(label, [each[place] for each in outcomes]) for place, label in enumerate(OUTCOMES)]
        told = differences(self.compared)
        rows.append([])
        rows.append([(" What differs in the recipes" if told else " The recipes are the same.", "strong")])
        rows += [_row(key, values) for key, values in told]
        table.add(rows)
        table.scroll_home(animate=False)

    def action_axis(self) -> None:
        """Line the curves up by the next measure."""
        if self.compared and self.compared[0].curves:
            self.by = AXES[(AXES.index(self.by) + 1) % len(AXES)]
            self._draw()

    def action_log_scale(self) -> None:
        """Bend or straighten the loss axis."""
        self.query_one(LineChart).toggle_log()

    def action_zoom(self, factor: float) -> None:
        """Come closer or step back."""
        self.query_one(LineChart).zoom(factor)


def _row(label: str, values: Sequence[str], looks: Sequence[str] = ()) -> Row:
    row: list[tuple[str, str]] = [(f" {label:<{LABEL_CELLS - 1}}", "dim")]
    for place, value in enumerate(values):
        cut = value if len(value) < NAME_CELLS else value[: NAME_CELLS - 2] + "\u2026"
        row.append((f"{cut:<{NAME_CELLS}}", looks[place] if looks else "plain"))
    return row
