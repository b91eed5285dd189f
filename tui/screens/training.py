"""The training screen: a viewer of a run directory. It can be closed, killed or opened five times; training goes on."""

from __future__ import annotations

import os
import sys
import time

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import ContentSwitcher

from engine.runs.history import History
from engine.runs.liveness import Liveness
from engine.runs.store import Run
from tui.charts.glyphs import glyphs_for
from tui.screens.training_controls import Controls
from tui.screens.training_follower import POLL_SECONDS, Follower
from tui.screens.training_keys import KEYS
from tui.screens.training_views import ReadsHistory, Views
from tui.watch.eta import left_words
from tui.watch.feed import Preview
from tui.watch.page import next_row, tail_rows, verdict_row, worked_seconds
from tui.watch.summary import reason_of_end, summary
from tui.watch.words import WIDE, devices, header, machine, numbers, several_devices
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line
from tui.widgets.rows import Row, Rows
from tui.widgets.run_charts import RunCharts

WORDS_SECONDS = 4 * POLL_SECONDS


class TrainingScreen(Follower, Views, Controls):
    """Shows one run. Keys act on the engine only through the run directory."""

    CSS_PATH = "training.tcss"
    AUTO_FOCUS = ""
    BINDINGS = KEYS

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.closed = False
        self._drawn_notes = 0
        self._drawn_at = self._words_drawn_at = 0.0

    def compose(self) -> ComposeResult:
        glyphs = glyphs_for(os.environ, getattr(sys.__stderr__, "encoding", None) or "utf-8")
        yield Line([[(f" {self.run.name}", "strong"), ("  opening", "dim")]], id="header")
        yield Line(id="verdict")
        with ContentSwitcher(initial="charts", id="body"):
            yield RunCharts(glyphs, id="charts")
        with Vertical(id="below"):
            yield Rows(id="summary")
            yield Line(id="numbers")
            yield Line(id="machine")
            yield Line(id="devices")
            yield Rows(id="tail")
        yield Line(id="message")
        yield KeyLine()

    def on_mount(self) -> None:
        """Draw what is there, then look again a few times a second."""
        self.follow()

    def is_time_to_draw(self) -> bool:
        """Not more often than at each look."""
        return time.monotonic() - self._drawn_at >= POLL_SECONDS

    def show_preview(self, preview: Preview) -> None:
        """The samples, and the words about them."""
        self.charts.show_preview(preview.steps, preview.history.total_steps)

    def take_in(self, history: History) -> None:
        """Answers of the engine are said at once, drawn or not."""
        self.note_answers(history)

    def take_in_early(self, history: History) -> None:
        """The points are prepared bit by bit, so that no look waits long for them."""
        self.charts.take_in(history)

    @property
    def wide(self) -> bool:
        """Whether there is room for long labels."""
        return self.size.width >= WIDE

    @property
    def history(self) -> History:
        """What is shown in words: of a long run that is still being read, its last part."""
        return self.preview.history if self.preview is not None else self.feed.history

    @property
    def alive(self) -> Liveness | None:
        """Whether anybody works on the run; None before the first look."""
        return self.reading.liveness if self.reading is not None else None

    @property
    def seconds(self) -> float:
        """How long the run has worked."""
        return worked_seconds(self.history, self.reading)

    def draw(self) -> None:
        """The curve and the header at each look, everything else once a second."""
        history = self.feed.history
        if self.preview is not None:
            self._draw_words()
            return
        if history.revision == self.drawn_revision and not self.feed.behind:
            return
        self.drawn_revision = history.revision
        unhurried = time.monotonic() - self._words_drawn_at < WORDS_SECONDS
        if unhurried and history.ended is None and self._drawn_notes == len(history.notes):
            self.charts.show(history, loss_only=True)
            self._draw_header()
            return
        self._drawn_notes = len(history.notes)
        for view in self.query_one("#body").children:
            if isinstance(view, ReadsHistory):
                view.show(history)
        self._draw_words()

    def _draw_header(self) -> None:
        self._drawn_at = time.monotonic()
        left = left_words(self.pace.left(self.history.total_steps))
        pieces = header(self.run.name, self.history, self.alive, self.seconds, left, self.size.width)
        self.query_one("#header", Line).put(pieces)

    def _draw_words(self) -> None:
        self._draw_header()
        self._words_drawn_at = time.monotonic()
        history, reason = self.history, reason_of_end(self.history, self.alive)
        self.query_one("#verdict", Line).put(self._verdict(reason))
        self.query_one("#numbers", Line).put(numbers(history, self.wide))
        if self.reading is not None:
            self.query_one("#machine", Line).put(machine(self.reading, history, self.wide))
        self.query_one("#devices", Line).put(devices(history, self.size.width))
        self.set_class(several_devices(history), "-several")
        self.query_one("#tail", Rows).show(tail_rows(history))
        smooth = self.charts.lines.smooth
        rows = summary(self.run, history, self.alive, smooth, self.seconds, self.size.width)
        self.query_one("#summary", Rows).show([*rows, *next_row(reason, bool(history.checkpoints))])
        self._set_closed(bool(reason))

    def _set_closed(self, closed: bool) -> None:
        if closed != self.closed:
            self.closed = closed
            if closed:
                self.ring_if_wanted()
                self.forget_promises()
            self.set_class(closed, "-closed")
            self.refresh_bindings()

    def _verdict(self, reason: str) -> Row:
        if self.preview is not None:
            return [(f" Reading the whole run: {self.feed.share_read:.0%}. The curve shows some of its steps.", "key")]
        return verdict_row(self.history, self.charts.lines, reason, self.wide, self.size.width)

    def on_resize(self) -> None:
        """The words depend on the width."""
        self.drawn_revision = -1
        self._words_drawn_at = 0.0
        self.call_after_refresh(self.draw)
