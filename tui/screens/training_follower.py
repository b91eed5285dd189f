"""What the training screen takes in: what the run has said since, and what the machine does meanwhile."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from textual import on
from textual.message import Message
from textual.screen import Screen

from engine.runs.history import History
from engine.runs.store import Run
from tui.screens.background import in_thread
from tui.watch.eta import Pace
from tui.watch.feed import Feed, Preview
from tui.watch.telemetry import Reading, Telemetry

REMOTE = any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "MOSH_CONNECTION"))
POLL_SECONDS = 0.5 if REMOTE else 0.25
READING_SECONDS = 2.0 if REMOTE else 1.0


@dataclass
class ReadingTaken(Message):
    """The machine was read, in a thread."""

    reading: Reading


class Follower(Screen[None]):
    """Looks again a few times a second. The training screen says when to draw, and draws."""

    closed: bool

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.feed = Feed(run)
        self.telemetry = Telemetry(run)
        self.reading: Reading | None = None
        self.pace = Pace()
        self.preview: Preview | None = None
        self.drawn_revision = -1

    def draw(self) -> None:
        """Show what is new."""
        raise NotImplementedError

    def is_time_to_draw(self) -> bool:
        """Whether the picture is old enough to draw another while the run is still being read."""
        raise NotImplementedError

    def show_preview(self, preview: Preview) -> None:
        """Show samples of a run that is too long to be read at once."""
        raise NotImplementedError

    def take_in(self, history: History) -> None:
        """The history has grown, which may hold answers to what was asked."""

    def take_in_early(self, history: History) -> None:
        """The history has grown behind a preview."""

    def follow(self) -> None:
        """Look now, then a few times a second."""
        self.tick()
        self.set_interval(POLL_SECONDS, self.tick)
        self._read_machine()
        self.set_interval(READING_SECONDS, self._read_machine)

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
        self.take_in(history)
        if not self._terminal_is_busy() and (not self.feed.behind or self.is_time_to_draw()):
            self.draw()

    def _begin_catching_up(self) -> None:
        """Show samples of a long run at once, and read all of it bit by bit."""
        self.preview = self.feed.preview()
        self.call_after_refresh(self.show_preview, self.preview)
        self._catch_up()

    def _catch_up(self) -> None:
        self.feed.poll()
        self.take_in_early(self.feed.history)
        if self.feed.behind:
            if self.is_time_to_draw() and not self._terminal_is_busy():
                self.draw()
            self.set_timer(0.001, self._catch_up)
        else:
            self.preview = None
            self.tick()

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
        self.drawn_revision = -1
        if not self._terminal_is_busy():
            self.draw()
