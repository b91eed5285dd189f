"""The verbs that look at runs and ask them for something, against an engine without a model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.places import runs_root
from engine.runs.control import pending, request
from engine.runs.history import load_history
from engine.runs.liveness import liveness
from engine.runs.store import Run, create_run
from tests.conftest import PROJECT
from tests.pty import fake_engine
from tui import cli
from tui.verbs.places import word_for


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def living(root: Path) -> Iterator[Run]:
    """A run that is training."""
    run = fake_engine.start(root, "alive", "--pace", "0.02")
    yield run
    fake_engine.end(run)


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON document on stdout."""
    return dict(json.loads(capsys.readouterr().out))


def finished(root: Path, name: str = "done", steps: str = "12") -> Run:
    run = fake_engine.start(root, name, "--steps", steps, "--pace", "0")
    deadline = time.monotonic() + 10
    while liveness(run).alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return run


def test_no_runs_yet(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", "--runs", str(root)]) == 0
    assert "no runs" in capsys.readouterr().out
    assert cli.main(["runs", "--json", "--runs", str(root)]) == 0
    assert document(capsys) == {"directory": str(root), "runs": []}


def test_runs_shows_the_live_state_of_each(root: Path, living: Run, capsys: pytest.CaptureFixture[str]) -> None:
    finished(root)
    (create_run(fake_engine.recipe(), root, "broken").recipe_path).write_text("[model\n")
    assert cli.main(["runs", "--json", "--runs", str(root)]) == 0
    found = {one["name"]: one for one in document(capsys)["runs"]}
    assert {name: one["state"] for name, one in found.items()} == {
        "alive": "running", "done": "finished", "broken": "new",
    }  # fmt: skip
    assert found["done"]["step"] == found["done"]["total_steps"] == 12
    assert found["alive"]["pid"] > 0
    assert "not valid TOML" in found["broken"]["problem"]
    assert cli.main(["runs", "--runs", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "state", "step", "loss", "method", "model", "started"]
    assert any(line.startswith("alive") and "running" in line for line in lines)
    assert any("(the recipe cannot be read)" in line for line in lines)


def test_an_unknown_run_names_the_nearest(root: Path, living: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("attach", "stop", "save", "pause", "resume", "chat", "eval"):
        assert cli.main([verb, "alve", "--runs", str(root)]) == 2
        assert "Did you mean alive?" in capsys.readouterr().err


def test_attach_without_terminal_prints_lines_to_the_end(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(root)
    assert cli.main(["attach", "done", "--runs", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 10/12  epoch 0.83  loss ")
    assert any(line.startswith("Evaluated at step 10 on 8 held-out rows: loss ") for line in lines)
    assert sum(line.startswith("step ") for line in lines) == 2  # before the evaluation, and the last one
    assert any(line.startswith("step 12/12  epoch 1.00  loss ") for line in lines)
    assert "done: Finished at step 12." in lines


def test_save_is_answered_and_the_run_goes_on(root: Path, living: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["save", "alive", "--json", "--runs", str(root)]) == 0
    answer = document(capsys)
    assert (answer["run"], answer["action"], answer["accepted"]) == ("alive", "save", True)
    assert answer["state"] == "running"
    assert answer["detail"] == f"A checkpoint of step {load_history(living).checkpoints[-1]} is saved."
    assert list(pending(living)) == []


def test_stop_waits_for_the_end_and_attach_then_ends_with_3(
    root: Path, living: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["stop", "alive", "--runs", str(root)]) == 0
    assert f"tunewright resume {living.path}" in capsys.readouterr().out
    assert not liveness(living).alive
    assert cli.main(["attach", "alive", "--plain", "--runs", str(root)]) == 3
    capsys.readouterr()
    assert cli.main(["stop", "alive", "--json", "--runs", str(root)]) == 0  # asking twice is no error
    assert document(capsys)["state"] == "stopped"


def test_a_run_that_does_not_answer_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fake_engine.start(root, "deaf", "--deaf")
    try:
        assert cli.main(["save", "deaf", "--wait", "0.3", "--runs", str(root)]) == 1
        assert "has not answered in 0.3 seconds" in capsys.readouterr().out
        assert [one.action for one in pending(run)] == ["save"]  # it stays until the run looks
    finally:
        fake_engine.end(run)


def test_a_run_that_dies_before_it_answers_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fake_engine.start(root, "deaf", "--deaf")
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {liveness(run).pid}"])
    assert cli.main(["save", "deaf", "--wait", "10", "--runs", str(root)]) == 1
    assert "ended before it answered" in capsys.readouterr().out
    killer.wait()


@pytest.mark.parametrize("verb", ["save", "pause"])
def test_a_run_that_does_not_run_cannot_be_asked(verb: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(root)
    assert cli.main([verb, "done", "--runs", str(root)]) == 2
    said = capsys.readouterr().err
    assert "is not running" in said and "tunewright chat" in said and "resume" not in said


def test_resume_of_a_living_run_asks_it(root: Path, living: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["resume", "alive", "--json", "--runs", str(root)]) == 0
    assert document(capsys)["detail"] == "It goes on."


def test_resume_starts_the_engine_again_and_drops_old_requests(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fake_engine.start(root, "short", "--deaf")
    fake_engine.end(run)
    request(run, "stop")
    launched: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "engine.runs.process.launch", lambda run, resume, **_: launched.append((run.name, resume)) or 4242
    )
    monkeypatch.setattr("engine.machine.packages.missing_training_packages", lambda: ())
    assert cli.main(["resume", "short", "--runs", str(root)]) == 0
    assert launched == [("short", True)]
    assert "process 4242" in capsys.readouterr().out
    assert pending(run) == []


def test_resume_with_a_number_of_gpus_that_cannot_share_gives_advice_that_it_can_take(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = fake_engine.recipe(**{"training.micro_batch_size": 8, "training.gradient_accumulation_steps": 1})
    run = create_run(recipe, root, "alone")
    before = run.recipe_path.read_bytes()
    assert cli.main(["resume", "alone", "--devices", "2", "--runs", str(root)]) == 2
    said = capsys.readouterr().err
    assert f"begin a new run: tunewright train {run.recipe_path}" in said
    assert run.recipe_path.read_bytes() == before


def test_resume_where_the_data_was_moved_starts_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runs.process.launch", lambda *_, **__: pytest.fail("an engine was started"))
    create_run(fake_engine.recipe(**{"data.source": str(root / "moved.jsonl")}), root, "night")
    assert cli.main(["resume", "night", "--runs", str(root)]) == 2
    said = capsys.readouterr().err
    assert "The data of run night is no longer where it was." in said and f"where: {root / 'moved.jsonl'}" in said


def test_resume_of_what_has_finished_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(root)
    assert cli.main(["resume", "done", "--runs", str(root)]) == 2
    assert "has finished" in capsys.readouterr().err


def test_ctrl_c_leaves_the_run_running(root: Path, living: Run) -> None:
    command = [sys.executable, "-m", "tui", "attach", "alive", "--plain", "--runs", str(root)]
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT)
    assert viewer.stdout is not None and viewer.stderr is not None
    assert viewer.stdout.readline().startswith("step ")
    viewer.send_signal(signal.SIGINT)
    _, said = viewer.communicate(timeout=20)
    assert viewer.returncode == 130
    assert "The run goes on" in said and "Traceback" not in said
    assert liveness(living).alive


def test_lines_tell_a_killed_engine(root: Path, living: Run, capsys: pytest.CaptureFixture[str]) -> None:
    os.kill(liveness(living).pid, signal.SIGKILL)
    assert cli.main(["attach", "alive", "--plain", "--runs", str(root)]) == 1
    assert f"tunewright resume {living.path}" in capsys.readouterr().out


def test_hints_name_a_run_as_it_can_be_typed(tmp_path: Path) -> None:
    usual, elsewhere = Run(runs_root() / "one"), Run(tmp_path / "one")
    assert (word_for(usual), word_for(elsewhere)) == ("one", str(tmp_path / "one"))
