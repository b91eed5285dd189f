"""`tunewright run --auto-resume` and the home pages: what happened to a lost run, and going on with it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.places import rescue_root, runs_root
from engine.runs.control import pending, request
from engine.runs.identity import boot_id
from engine.runs.liveness import liveness
from engine.runs.nodes import ONE_NODE, Nodes
from engine.runs.store import Run, create_run
from tests.conftest import PROJECT
from tests.pty import fake_engine
from tests.tui.test_wizard import press, settle, text_of
from tui import cli
from tui.app import TunewrightApp
from tui.plain_console import Console, Leave
from tui.plain_home import WentOn, choose_answers
from tui.verbs.auto_resume import unit


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """The runs whose engine would have been started, and whether they go on."""
    found: list[tuple[str, bool]] = []

    def launch(run: Run, resume: bool = False, nodes: Nodes = ONE_NODE) -> int:
        if run.name == "bad":
            raise UserError("It does not start.", str(run.path), "Look into it.", 1)
        found.append((run.name, resume))
        return 4242

    monkeypatch.setattr("engine.runs.recover.launch", launch)
    monkeypatch.setattr("engine.runs.process.launch", launch)
    monkeypatch.setattr("engine.machine.packages.missing_training_packages", lambda: ())
    return found


def lose(root: Path, name: str = "first", checkpoint: int = 40, **state: Any) -> Run:
    """A run whose engine is gone without a word."""
    run = create_run(fake_engine.recipe(), root, name)
    fields = {"v": 1, "step": 43, "total_steps": 90, "boot_id": "b" * 36, "host": os.uname().nodename, **state}
    run.state_path.write_text(json.dumps(fields))
    if checkpoint:
        (run.checkpoints_dir / f"step-{checkpoint:08d}").mkdir()
    return run


def test_lost_runs_go_on_and_what_happened_is_said(
    tmp_path: Path, launched: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    run = lose(tmp_path)
    request(run, "stop")  # asked of the engine that is gone
    lose(tmp_path, "done", stop_reason="finished")
    assert cli.main(["run", "--auto-resume", "--runs", str(tmp_path)]) == 0
    assert launched == [("first", True)]
    assert pending(run) == []
    assert "first: The machine restarted after step 43. It goes on (process 4242)" in capsys.readouterr().out


def test_one_that_cannot_go_on_is_named_and_stops_no_other(
    tmp_path: Path, launched: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    lose(tmp_path, "bad")
    lose(tmp_path, "good", boot_id=boot_id())
    lose(tmp_path, "hopeless", start_step=43, fruitless_starts=2)
    assert cli.main(["run", "--auto-resume", "--json", "--runs", str(tmp_path)]) == 1
    document = json.loads(capsys.readouterr().out)
    found = {one["name"]: one for one in document["runs"]}
    assert launched == [("good", True)]
    assert (found["good"]["pid"], found["good"]["error"], found["good"]["step"]) == (4242, None, 43)
    assert found["good"]["detail"] == "The engine was killed after step 43."
    assert found["bad"]["error"]["what"] == "It does not start."
    assert "3 engines in a row" in found["hopeless"]["error"]["what"]


def test_nothing_lost_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--auto-resume", "--json", "--runs", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"directory": str(tmp_path), "runs": []}
    assert cli.main(["run", "--auto-resume", "--runs", str(tmp_path)]) == 0
    assert "No run" in capsys.readouterr().out


def test_without_a_flag_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run"]) == 2
    assert "--auto-resume" in capsys.readouterr().err
    assert cli.main(["run", "--print-unit", "windows"]) == 2
    capsys.readouterr()
    assert cli.main(["run", "--print-unit", "cron", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "cron" and "@reboot" in document["text"]


@pytest.mark.parametrize("place", ["runs", 'my runs 100% $HOME "x"'])
def test_the_printed_command_is_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The crontab line, as a shell reads it, and the unit's command, as systemd reads it, both run and find nothing."""
    root = tmp_path / place
    line = unit("cron", root).splitlines()[-1].removeprefix("@reboot ").replace(r"\%", "%")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"No run in {root} was lost.\n"), done.stderr
    start = next(text for text in unit("systemd", root).splitlines() if text.startswith("ExecStart="))
    words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(start.removeprefix("ExecStart="))]
    assert words == [sys.executable, "-P", "-m", "tui", "run", "--auto-resume", "--runs", str(root)]
    assert f"PYTHONPATH={PROJECT}" in unit("systemd", root)


async def test_the_home_page_says_what_was_lost_and_one_key_goes_on(
    launched: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(TunewrightApp, "open_training", lambda app, run: opened.append(run.name))
    lose(runs_root())
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        text = " ".join(text_of(app).split())
        assert "The machine restarted after step 43. It can go on from step 40." in text
        assert "Press r to go on" in text
        await press(pilot, "r")
        assert launched == [("first", True)]
        assert opened == ["first"]


def answer(*answers: str) -> tuple[Console, list[str]]:
    """A console that gives these answers, then the end of the input; and the lines it was told."""
    waiting, said = iter(answers), []

    class Told(Console):
        def say(self, *lines: str) -> None:
            said.extend(lines)

    def read(prompt: str) -> str:
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    return Told(read), said


def test_the_plain_home_offers_it_first(launched: list[tuple[str, bool]]) -> None:
    lose(runs_root(), checkpoint=0)
    console, said = answer("1")
    with pytest.raises(WentOn) as went:
        choose_answers(console)
    assert went.value.run.name == "first"
    assert launched == [("first", True)]
    assert any("has no checkpoint yet" in line for line in said)
    assert "  1. Go on with first" in said


def test_the_plain_home_says_why_a_run_does_not_go_on(launched: list[tuple[str, bool]]) -> None:
    lose(runs_root(), "bad")
    console, said = answer("1")
    with pytest.raises(Leave):
        choose_answers(console)
    assert "! It does not start." in said
    assert launched == []


@pytest.mark.parametrize(("job", "code", "state"), [({"SLURM_JOB_ID": "7"}, 3, "stopped"), ({}, -15, "running")])
def test_who_follows_in_a_job_hands_the_stop_on_and_stays(
    tmp_path: Path, job: dict[str, str], code: int, state: str
) -> None:
    run = fake_engine.start(tmp_path, "alive", "--pace", "0.02")
    try:
        command = [sys.executable, "-m", "tui", "attach", "--plain", "--runs", str(tmp_path), "alive"]
        watcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT, env={**os.environ, **job})
        assert watcher.stdout is not None and watcher.stdout.readline()
        watcher.send_signal(signal.SIGTERM)
        watcher.communicate(timeout=20)
        assert watcher.returncode == code
        assert liveness(run).state == state
    finally:
        fake_engine.end(run)


def test_what_was_rescued_is_named_in_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rescued = create_run(fake_engine.recipe(), rescue_root(), "first-20260101-000000")
    assert cli.main(["runs", "--runs", str(tmp_path)]) == 0
    assert f"tunewright resume {rescued.path}" in capsys.readouterr().out
