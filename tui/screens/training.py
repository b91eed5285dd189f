"""The training screen: a viewer of a run directory. It can be closed, killed or opened five times; training goes on."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import ContentSwitcher

from engine.runs.history import History
from engine.runs.process import Liveness
from engine.runs.store import Run
from tui.charts.glyphs import glyphs_for
from tui.screens.background import in_thread
from tui.screens.training_controls import Controls
from tui.screens.training_views import ReadsHistory, Views
from tui.watch.eta import Pace, left_words
from tui.watch.feed import Feed, Preview
from tui.watch.page import next_row, tail_rows, verdict_row, worked_seconds
from tui.watch.summary import reason_of_end, summary
from tui.watch.telemetry import Reading, Telemetry
from tui.watch.words import WIDE, devices, header, machine, numbers, several_devices
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line
from tui.widgets.rows import Row, Rows
from tui.widgets.run_charts import RunCharts

REMOTE = any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "MOSH_CONNECTION"))
POLL_SECONDS = 0.5 if REMOTE else 0.25
WORDS_SECONDS = 4 * POLL_SECONDS
READING_SECONDS = 2.0 if REMOTE else 1.0


@dataclass
class ReadingTaken(Message):
    """The machine was read, in a thread."""

    reading: Reading


class TrainingScreen(Views, Controls):
    """Shows one run. Keys act on the engine only through the run directory."""

    CSS_PATH = "training.tcss"
    AUTO_FOCUS = ""
    BINDINGS = [
        Binding("s", "stop", "Stop and save", id="training.stop",
                tooltip="Stop after this step and save a checkpoint, from which the run can go on."),
        Binding("r", "resume", "Go on", id="training.resume", tooltip="Go on from the newest sound checkpoint."),
        Binding("p", "playground", "Try it", id="training.playground",
                tooltip="Talk with the base and the tuned model."),
        Binding("v", "evaluation", "Evaluate", id="training.evaluation",
                tooltip="Measure base and tuned on the held-out rows, with intervals."),
        Binding("x", "export", "Export", id="training.export", tooltip="Make a merged model, or hand it to Ollama."),
        Binding("d", "detach", "Detach", id="training.detach", tooltip="Leave the program. Training continues."),
        Binding("l", "view('log')", "Log", id="training.log",
                tooltip="Everything that happened, and the engine's log."),
        Binding("a", "view('samples')", "Answers", id="training.samples", tooltip="What the model answers so far."),
        Binding("w", "save_now", "Save now", show=False, id="training.save",
                tooltip="Write a checkpoint after this step, and go on."),
        Binding("e", "evaluate_now", "Evaluate now", show=False, id="training.evaluate",
                tooltip="Measure the held-out loss after this step, and go on."),
        Binding("space", "pause", "Pause", show=False, id="training.pause",
                tooltip="Save and end the engine, which frees the GPU; r goes on from there."),
        Binding("b", "ring", "Ring at the end", show=False, id="training.ring",
                tooltip="Ring the terminal's bell and send a notice when the run ends or fails."),
        Binding("y", "log_scale", "Log scale", id="training.log_scale",
                tooltip="Switch the loss axis between linear and logarithmic."),
        Binding("t", "axis", "Steps, epochs or time", show=False, id="training.axis",
                tooltip="What the axis below the curve counts."),
        Binding("c", "compare", "Compare", show=False, id="training.compare",
                tooltip="Lay this run over the runs beside it."),
        Binding("o", "report", "Report", show=False, id="training.report",
                tooltip="Write the run down as one HTML page and one picture, in its folder."),
        Binding("plus,equals_sign", "zoom(0.5)", "Closer", show=False, id="training.closer"),
        Binding("minus", "zoom(2.0)", "Wider", show=False, id="training.wider"),
        Binding("0", "whole", "All steps", show=False, id="training.whole"),
        Binding("left", "cursor(-1)", "Read back", show=False, id="training.left",
                tooltip="Read the value one column to the left."),
        Binding("right", "cursor(1)", "Read on", show=False, id="training.right"),
        Binding("g", "glyphs", "Glyphs", show=False, id="training.glyphs",
                tooltip="Draw with braille dots, blocks or plain letters."),
        Binding("question_mark,f1", "explain", "Keys", id="training.explain",
                tooltip="All keys of this page, and how to read the chart."),
        Binding("q,escape", "back", "Back", id="training.back"),
    ]  # fmt: skip

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.feed = Feed(run)
        self.telemetry = Telemetry(run)
        self.reading: Reading | None = None
        self.pace = Pace()
        self.closed = False
        self.preview: Preview | None = None
        self._drawn_revision = -1
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
        self.tick()
        self.set_interval(POLL_SECONDS, self.tick)
        self._read_machine()
        self.set_interval(READING_SECONDS, self._read_machine)

    # reading

    def tick(self) -> None:
        """Take in what the run has said since, and draw it unless the terminal is still busy with the last picture."""
        if self.preview is not None:
            return  # `_catch_up` is at work
        before = self.feed.history.step
        self.feed.poll()
        if self.feed.is_long:
            self._begin_catching_up()
            return
        history = self.feed.history
        if history.step != before and history.last_time:
            self.pace.add(history.step, history.last_time)
        if self.feed.behind:
            self.set_timer(0.001, self.tick)
        self.note_answers(history)
        if not self._terminal_is_busy() and (not self.feed.behind or self._is_time_to_draw()):
            self._draw()

    def _begin_catching_up(self) -> None:
        """Show samples of a long run at once, and read all of it bit by bit."""
        self.preview = self.feed.preview()
        self.call_after_refresh(self.charts.show_preview, self.preview.steps, self.preview.history.total_steps)
        self._catch_up()

    def _catch_up(self) -> None:
        self.feed.poll()
        self.charts.take_in(self.feed.history)
        if self.feed.behind:
            if self._is_time_to_draw() and not self._terminal_is_busy():
                self._draw_words()
            self.set_timer(0.001, self._catch_up)
        else:
            self.preview = None
            self.tick()

    def _is_time_to_draw(self) -> bool:
        return time.monotonic() - self._drawn_at >= POLL_SECONDS

    def _terminal_is_busy(self) -> bool:
        """Whether painted frames still wait for a slow line. Textual has no public way to ask, so ask carefully."""
        thread = getattr(getattr(self.app, "_driver", None), "_writer_thread", None)
        size: Any = getattr(getattr(thread, "_queue", None), "qsize", None)
        return bool(size is not None and size() > 0)

    def _read_machine(self) -> None:
        if self.is_current and not (self.closed and self.reading is not None):
            self.run_worker(self._take_reading(), group="reading", exclusive=True, exit_on_error=False)

    async def _take_reading(self) -> None:
        self.post_message(ReadingTaken(await in_thread(self.telemetry.read)))

    @on(ReadingTaken)
    def _show_reading(self, message: ReadingTaken) -> None:
        self.reading = message.reading
        self._drawn_revision = -1
        if not self._terminal_is_busy():
            self._draw()

    # drawing

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

    def _draw(self) -> None:
        """The curve and the header at each look, everything else once a second."""
        history = self.feed.history
        if self.preview is not None:
            self._draw_words()
            return
        if history.revision == self._drawn_revision and not self.feed.behind:
            return
        self._drawn_revision = history.revision
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
        self.query_one("#summary", Rows).show([*rows, *next_row(reason)])
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
        self._drawn_revision = -1
        self._words_drawn_at = 0.0
        self.call_after_refresh(self._draw)
