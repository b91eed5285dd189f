"""Notices that a run does not move any more, while the thread that should move it cannot tell."""

from __future__ import annotations

import faulthandler
import sys
import time

from engine.train.reporter import Reporter

STALL_FLOOR_SECONDS = 300.0
STALL_STEPS = 10
"""A step may take this many times the usual before the run counts as stalled (and never less than the floor)."""


class StallWatch:
    """Asked once a second."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._since: float | None = None

    def look(self) -> None:
        """Warn once when nothing has moved for too long, with all stacks in the log, and once when it moves again."""
        silent = time.monotonic() - self._reporter.last_progress
        limit = max(STALL_FLOOR_SECONDS, STALL_STEPS * self._reporter.step_seconds)
        if silent < limit:
            if self._since is not None:
                self._reporter.warning("The run moves again.", f"after {time.monotonic() - self._since:.0f} s")
            self._since = None
        elif self._since is None:
            self._since = self._reporter.last_progress
            faulthandler.dump_traceback(sys.stderr, all_threads=True)
            self._reporter.warning(
                f"Nothing has moved for {silent:.0f} seconds.", f"phase: {self._reporter.state['phase']}",
                "The stacks of all threads are in engine.log. Stopping and resuming loses nothing that was saved.",
                kind="stalled",
            )  # fmt: skip
