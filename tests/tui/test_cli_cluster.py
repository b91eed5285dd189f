"""`train --slurm` and `--nodes` from the command line, with commands that stand for SLURM's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.recipe import Recipe
from engine.runs import slurm
from engine.runs.events import Event
from engine.runs.history import History
from engine.runs.liveness import Liveness, liveness
from engine.runs.store import Run
from tests.tui import fake_slurm
from tui import cli
from tui.verbs import queue_watch
from tui.verbs.follow import step_line
from tui.verbs.queue_watch import QueueWatch
from tui.watch.event_words import memory_words
from tui.watch.words import state_of


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A queue in which job 12 waits until the file `queue` says something else."""
    return fake_slurm.install(tmp_path / "bin", monkeypatch)


@pytest.fixture
def recipe_words(demo_model: Path, demo_data: Path, tmp_path: Path) -> list[str]:
    return ["train", "--model", str(demo_model), "--data", str(demo_data), "--method", "lora", "--runs",
            str(tmp_path / "runs"), "--no-input", "--name", "far"]  # fmt: skip


def test_a_run_is_handed_in_waits_and_is_taken_out(
    commands: Path, recipe_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    gpus = ["--vram", "80", "--gpus", "2", "--ram", "200"]
    assert cli.main([*recipe_words, "--slurm", *gpus, "--json"]) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    run = Run(Path(made["path"]))
    assert (made["job"], liveness(run).state) == ("12", "queued")
    text = Path(made["script"]).read_text()
    assert "#SBATCH --gpus-per-node=2" in text
    assert Recipe.load(run.recipe_path).training.devices == 2
    place = ["--runs", str(run.path.parent)]
    assert cli.main(["runs", *place]) == 0
    assert "queued" in capsys.readouterr().out
    assert cli.main(["resume", "far", *place]) == 2
    assert "waits for its turn already" in capsys.readouterr().err
    assert cli.main(["stop", "far", *place]) == 0
    assert "job 12 was taken out of the queue" in capsys.readouterr().out
    assert liveness(run).state == "new"
    assert cli.main(["resume", "far", *place]) == 0
    assert "handed in again as SLURM job 12" in capsys.readouterr().out
    assert fake_slurm.submitted(commands) == [f"--parsable {made['script']}"] * 2


def test_without_sbatch_the_file_is_written_and_said(
    recipe_words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.verbs.cluster.shutil.which", lambda name: None)
    assert cli.main([*recipe_words, "--slurm"]) == 0
    said = capsys.readouterr().out
    assert "There is no sbatch here" in said
    assert "job.sh" in said


def test_flags_that_contradict_each_other_are_refused(
    recipe_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*recipe_words, "--vram", "80"]) == 2
    assert "pretends a machine" in capsys.readouterr().err
    assert cli.main([*recipe_words, "--slurm", "--rehearse-only"]) == 2
    assert cli.main([*recipe_words, "--nodes", "2", "--set", "training.gradient_accumulation_steps=3"]) == 2
    assert "effective batch" in capsys.readouterr().err


def test_who_follows_a_run_stays_while_its_job_may_come_back(
    commands: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_watch.time, "sleep", lambda seconds: None)
    run = Run(tmp_path)
    watch = QueueWatch(run)
    stopped = Liveness("stopped", "Stopped.")
    assert not watch.goes_on(stopped)  # no job
    slurm.record_path(run).write_text('{"job": "12"}')
    assert watch.goes_on(stopped)  # it is in the queue again
    for _ in range(2):
        assert watch.goes_on(Liveness("queued", "Queued as SLURM job 12."))
    assert capsys.readouterr().out == "Queued as SLURM job 12.\n"
    (commands / "queue").write_text("")
    assert not watch.goes_on(stopped)
    assert not watch.goes_on(Liveness("finished", ""))


def test_the_words_for_several_devices_and_for_a_waiting_job() -> None:
    step: Event = {"type": "step", "step": 1, "total_steps": 2, "loss": 1.0, "mem": 2**30, "device_mem": [2**30, 2**31]}
    assert "1.0 GiB, 2.0 GiB in use" in step_line(step, {})
    rehearsal = {"device": "cuda", "allocated_bytes": 2**30, "devices": [{"allocated_bytes": 2**30},
                                                                        {"allocated_bytes": 2**31}]}  # fmt: skip
    assert memory_words(rehearsal) == "Measured 1.0 GiB at the longest batch. On 2 devices: 1.0 GiB, 2.0 GiB."
    waiting = Liveness("queued", "Queued as SLURM job 12: position 2 of 5, reason Priority.")
    assert state_of(History(), waiting) == (waiting.detail, "warn")
