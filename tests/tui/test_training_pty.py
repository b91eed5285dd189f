"""The screens of a run in a real terminal: no hostile byte gets out, a stalled line holds nobody up, idle is idle."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from engine.runs.events import EventLog
from engine.runs.store import Run
from tests.conftest import PROJECT
from tests.pty import fake_engine
from tests.terminal import Terminal
from tests.tui import runs


def opened(run: Run, screen: str = "training", *more: str, rows: int = 60, home: Path | None = None) -> Terminal:
    """A screen over hostile lookups and jobs."""
    command = [sys.executable, "-m", "tests.tui.open_screen", str(run.path), screen, *more]
    return Terminal(command, 120, rows, directory=PROJECT, environment={"TUNEWRIGHT_HOME": str(home)} if home else None)


def test_a_page_on_which_nothing_happens_sends_nothing(tmp_path: Path) -> None:
    with opened(runs.finished(tmp_path)) as terminal:
        terminal.wait_for("Finished after")
        terminal.settle(quiet=1.5)
        before = len(terminal.raw())
        terminal.read_for(2.5)
        assert len(terminal.raw()) == before


def test_a_line_that_stands_still_stops_no_engine_and_shows_no_old_frames(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path, 40, 100_000)
    with opened(run, rows=40) as terminal:
        terminal.wait_for("smoothed")
        terminal.settle()
        written = write_while(log, 41, 2_040, terminal_stands_still=2.5)
        assert written == 2_000
        before = len(terminal.raw())
        terminal.wait_for("step 2,040 of")
        # ten looks at full repaint would be 80 kB: what was queued before the stall, and one fresh picture, come
        assert len(terminal.raw()) - before < 40_000


def write_while(log: EventLog, first: int, last: int, terminal_stands_still: float) -> int:
    """Write steps, spread over a time in which nobody reads the terminal; how many were written."""
    pause = terminal_stands_still / (last - first + 1)
    count = 0
    clock = threading.Event()
    for number in range(first, last + 1):
        runs.step(log, number, 100_000, 3.0 - number / 1_000)
        count += 1
        clock.wait(pause)
    return count


def test_leaving_says_how_to_come_back_on_the_plain_terminal(tmp_path: Path) -> None:
    """An engine that lives: once a dead one is seen as such, there is nothing to leave and the key is gone."""
    run = fake_engine.start(tmp_path, "demo-1", "--pace", "0.05")
    try:
        with opened(run) as terminal:
            terminal.wait_for("Detach")
            terminal.send("d")
            terminal.wait_for("Come back with: tunewright attach demo-1")
            assert terminal.wait() == 0
    finally:
        fake_engine.end(run)
