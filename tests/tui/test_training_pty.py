"""The screens of a run in a real terminal: no hostile byte gets out, a stalled line holds nobody up, idle is idle."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from engine.runs.events import EventLog
from engine.runs.store import Run
from tests.conftest import PROJECT
from tests.terminal import Terminal
from tests.tui import runs
from tests.tui.payloads import MARKUP, PAYLOADS

OPEN = """
import sys
from pathlib import Path
import tui.jobs
from engine.runs.store import Run
from tui.app import TunewrightApp
run, screen, job = Run(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
tui.jobs.job_command = lambda name: [sys.executable, job, name]

class Program(TunewrightApp):
    CSS_PATH = str(Path(sys.modules["tui.app"].__file__).with_name("app.tcss"))

    def _first_screen(self):
        if screen == "playground":
            from tui.screens.playground import PlaygroundScreen
            return PlaygroundScreen(run)
        if screen == "export":
            from tui.screens.export import ExportScreen
            return ExportScreen(run)
        return super()._first_screen()

print(Program("attach", run=run).run())
"""
HOSTILE_JOB = """
import json, sys
texts = json.loads({texts!r})
def say(**message):
    print(json.dumps(message), flush=True)
sys.stdin.readline()
if sys.argv[1] == "chat":
    say(progress={{"phase": texts[0], "detail": texts[1]}})
    say(ready={{"device": texts[0]}})
    for line in sys.stdin:
        for text in texts:
            say(token={{"which": "tuned", "text": text + " "}})
        say(reply={{"base": " ".join(texts), "tuned": " ".join(texts), "finish": {{}}, "tokens": {{"base": 77}}}})
else:
    say(progress={{"phase": texts[0], "detail": texts[1]}})
    say(result={{"out": texts[0], "notes": texts, "commands": [texts, texts], "bytes": 1, "modelfile": texts[1]}})
    sys.stdin.read()
"""


def opened(run: Run, screen: str = "training", job: Path | None = None, rows: int = 60) -> Terminal:
    command = [sys.executable, "-c", OPEN, str(run.path), screen, str(job or "none")]
    return Terminal(command, 120, rows, directory=PROJECT)


def leaked(terminal: Terminal) -> list[str]:
    """The payloads whose very bytes reached the terminal."""
    raw = terminal.raw()
    return [text for text in PAYLOADS if text.encode("utf-8", "surrogatepass") in raw]


@pytest.fixture
def hostile_job(tmp_path: Path) -> Path:
    """A job that answers with nothing but payloads."""
    path = tmp_path / "job.py"
    path.write_text(HOSTILE_JOB.format(texts=json.dumps([*PAYLOADS, *MARKUP])))
    return path


def test_hostile_events_answers_and_logs_reach_no_terminal(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path, 40, 100)
    for text in (*PAYLOADS, *MARKUP):
        log.write("warning", what=text, where=text, fix=text)
        log.write("sample", step=40, prompt=text, base=text, tuned=text, expected=text)
    run.log_path.write_bytes("\n".join((*PAYLOADS, *MARKUP)).encode("utf-8", "surrogatepass"))
    log.write("error", what=PAYLOADS[1], where=PAYLOADS[3], fix=PAYLOADS[9])
    log.write("end", reason="failed", step=40, seconds=1.0, detail=PAYLOADS[7])
    with opened(run) as terminal:
        terminal.wait_for("Failed at step 40")
        for key, words in (("l", "[/INST]"), ("o", "Log of the engine"), ("a", "expected")):
            terminal.send(key)
            terminal.wait_for(words)
            terminal.settle()
        assert leaked(terminal) == []


def test_hostile_answers_of_a_model_reach_no_terminal(tmp_path: Path, hostile_job: Path) -> None:
    with opened(runs.finished(tmp_path), "playground", hostile_job) as terminal:
        terminal.wait_for("Ready on")
        terminal.send("hello", "enter")
        terminal.wait_for("77 tokens")
        terminal.settle()
        assert leaked(terminal) == []


def test_hostile_paths_and_notes_of_an_export_reach_no_terminal(tmp_path: Path, hostile_job: Path) -> None:
    with opened(runs.finished(tmp_path), "export", hostile_job) as terminal:
        terminal.wait_for("press Enter")
        terminal.send("enter")
        terminal.wait_for("In which number format?")
        terminal.send("enter")
        terminal.wait_for("Done.")
        terminal.settle()
        assert leaked(terminal) == []


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
    run, _ = runs.running(tmp_path, 40, 100)
    with opened(run) as terminal:
        terminal.wait_for("smoothed")
        terminal.send("d")
        terminal.wait_for("Come back with: tunewright attach demo-1")
        assert terminal.wait() == 0
