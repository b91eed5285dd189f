"""The generated job file on a real SLURM: handed in, waiting, pre-empted by a signal, moved, resumed, attached to.

Long tier; skips where SLURM's programs are not there or may not be started.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.runs import slurm
from engine.runs.liveness import liveness
from engine.runs.process import engine_environment
from engine.runs.store import Run
from tests.engine.runs.slurm_lab import SlurmLab
from tests.engine.train.material import write_model, write_rows

pytestmark = pytest.mark.long
SETTINGS = {"training.devices": "2", "training.micro_batch_size": "2", "training.gradient_accumulation_steps": "2",
            "training.precision": "fp32", "training.epochs": "1000", "evaluation.held_out_rows": "6",
            "evaluation.every_steps": "5000"}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmLab]:
    place = tmp_path / "lab"
    place.mkdir()
    with SlurmLab(place) as found:
        monkeypatch.setenv("PATH", str(found.bin), prepend=":")
        yield found
        found.ask("scancel", "-u", "root")
        time.sleep(2)


def tunewright(*words: str) -> Any:
    command = [sys.executable, "-P", "-m", "tui", *words, "--json"]
    done = subprocess.run(command, env=engine_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_for(what: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
    return found


def hand_in(tmp_path: Path, **changes: str) -> tuple[Run, str]:
    model, rows = write_model(tmp_path / "model"), write_rows(tmp_path / "rows.jsonl")
    flags = [word for key, value in {**SETTINGS, **changes}.items() for word in ("--set", f"{key}={value}")]
    made = tunewright("train", "--model", str(model), "--data", str(rows), "--method", "lora", "--slurm", "--name",
                      "job", *flags)  # fmt: skip
    return Run(Path(made["path"])), made["job"]


def state_of(run: Run) -> str:
    slurm._answers.clear()
    return liveness(run).state


def test_a_job_waits_works_is_pre_empted_moves_and_goes_on(lab: SlurmLab, tmp_path: Path) -> None:
    lab.ask("sbatch", "--nodes=2", "--exclusive", "--time=5", "--output=/dev/null", "--wrap", "sleep 300")
    wait_for(lambda: lab.ask("squeue", "-h", "-t", "R", "-o", "%i") == "1")
    run, job = hand_in(tmp_path)
    assert job == "2"
    assert state_of(run) == "queued"
    assert "position 1 of 1" in liveness(run).detail
    lab.ask("scancel", "1")
    wait_for(lambda: run.state().get("step", 0) > 5)
    assert liveness(run).alive
    first = lab.ask("squeue", "-h", "-j", job, "-o", "%N")
    lab.ask("scancel", "--signal=TERM", "--batch", job)
    wait_for(lambda: state_of(run) == "queued")
    saved = run.state()["step"]
    assert saved > 5
    assert (run.checkpoints_dir / f"step-{saved:08d}").is_dir()
    lab.ask("scontrol", "update", f"nodename={first}", "state=drain", "reason=test")
    lab.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # SLURM holds a requeued job for two minutes
    wait_for(lambda: run.state().get("step", 0) > saved + 5)
    assert lab.ask("squeue", "-h", "-j", job, "-o", "%N") != first
    assert tunewright("stop", "job", "--runs", str(run.path.parent))["state"] == "stopped"
    wait_for(lambda: not lab.ask("squeue", "-h", "-o", "%i"))  # a person's stop is not handed in again


def test_the_end_of_the_time_saves_and_requeues(lab: SlurmLab, tmp_path: Path) -> None:
    lab.ask("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    blocker = lab.ask(
        "sbatch", "--parsable", "--nodes=1", "--exclusive", "--time=5", "--output=/dev/null", "--wrap", "sleep 300"
    )
    run, job = hand_in(tmp_path)
    script = run.path / "job.sh"
    text = script.read_text().replace("--time=00:30:00", "--time=00:02:00").replace("TERM@300", "TERM@60")
    script.write_text(text)
    lab.ask("scancel", job)
    job = lab.ask("sbatch", "--parsable", str(script))
    lab.ask("scancel", blocker)
    wait_for(lambda: run.state().get("stop_reason") == "stopped", 180)
    assert "SIGTERM" in run.state()["stop_detail"]
    wait_for(lambda: state_of(run) == "queued")
    assert slurm.job_of(run) == job  # the script noted its own number


def test_two_nodes_of_a_job_share_a_run(lab: SlurmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")  # both nodes are this machine
    model, rows = write_model(tmp_path / "model"), write_rows(tmp_path / "rows.jsonl")
    flags = {**SETTINGS, "training.devices": "1", "training.max_steps": "20"}
    settings = [word for key, value in flags.items() for word in ("--set", f"{key}={value}")]
    made = tunewright("train", "--model", str(model), "--data", str(rows), "--method", "lora", "--slurm",
                      "--nodes", "2", *settings)  # fmt: skip
    run = Run(Path(made["path"]))
    script = run.path / "job.sh"
    nodes = lab.ask("squeue", "-h", "-j", made["job"], "-o", "%D")
    assert nodes == "2"
    text = script.read_text()
    assert 'scontrol show hostnames "$SLURM_JOB_NODELIST"' in text
    lab.ask("scancel", made["job"])
    # the names of a lab's nodes are no host names: here they are one machine
    script.write_text(
        text.replace('HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)', "HEAD=127.0.0.1")
    )
    wait_for(lambda: not lab.ask("squeue", "-h", "-o", "%i"))
    lab.ask("sbatch", str(script))
    wait_for(lambda: run.state().get("stop_reason"), 120)
    assert run.state()["stop_reason"] == "finished", os.linesep.join(run.log_path.read_text().splitlines()[-20:])
    assert run.state()["step"] == 20
