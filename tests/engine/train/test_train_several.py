"""Two processes share a run on the CPU (gloo), started as a person starts them: torchrun in a detached engine.

What one process would learn they learn, and they stop, save, die and go on together.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from engine.runs.control import request
from engine.runs.liveness import liveness
from engine.runs.process import launch
from engine.runs.signals import signal_engine
from engine.runs.store import Run
from tests.conftest import PROJECT
from tests.engine.train.carried import Carried, RunFactory, carry

# one step of twenty rows; of fifty-three rows the last step of an epoch has three micro-batches, so one row is blank
SHARED = {"method__dropout": 0.0, "training__micro_batch_size": 5, "training__gradient_accumulation_steps": 4,
          "evaluation__held_out_rows": 7, "evaluation__every_steps": 3, "checkpoints__every_steps": 3,
          "training__max_steps": 9}  # fmt: skip
CLOSE = 2e-6
"""Sums of fp32 in another order; measured here: 1.3e-7 in losses, 5e-7 in weights of about one."""


def parent_of(pid: int) -> int:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return 0
    return 0 if state == "Z" else int(parent)


def children(pid: int) -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and parent_of(int(p.name)) == pid]


def wait_for(what: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def ended(run: Run) -> Carried:
    wait_for(lambda: not liveness(run).alive)
    return Carried(run)


def start(run: Run, steps: int = 0, resume: bool = False) -> list[int]:
    """The processes of a run that has made so many steps: the launcher, rank 0, rank 1."""
    launcher = launch(run, resume)

    def works() -> bool:
        """Whether the snapshot is the new engine's, and not what the one before left."""
        state = run.state()
        new = parent_of(int(state.get("pid") or 0)) == launcher
        return new and state["phase"] == "training" and state["step"] >= steps

    wait_for(lambda: works() or not liveness(run).alive)
    leader = run.state()["pid"]
    return [launcher, leader, *(pid for pid in children(launcher) if pid != leader)]


def assert_same(one: Carried, two: Carried, close: float = CLOSE) -> None:
    """Equal to the last digits of a sum: losses, gradient norms, counts, evaluations, weights."""
    assert one.steps.keys() == two.steps.keys()
    for step, (loss, norm, rate, tokens) in one.steps.items():
        other = two.steps[step]
        assert (loss, norm) == pytest.approx(other[:2], rel=close)
        assert (rate, tokens) == other[2:]
    evals = [{e["step"]: (e["loss"], e["tokens"], e["rows"]) for e in run.of("eval")} for run in (one, two)]
    assert evals[0].keys() == evals[1].keys()
    assert all(evals[0][step] == pytest.approx(evals[1][step], rel=close) for step in evals[0])
    weights = [load_file(next(run.run.result_dir.glob("*/*model.safetensors"))) for run in (one, two)]
    assert all((weights[0][name] - weights[1][name]).abs().max() < close for name in weights[0])


def test_two_processes_train_a_full_model_as_one_does(make_run: RunFactory) -> None:
    one = carry(make_run("full-one", method__name="full", **SHARED))
    run = make_run("full-two", method__name="full", training__devices=2, **SHARED)
    start(run)
    two = ended(run)
    assert run.state()["stop_reason"] == "finished"
    assert_same(one, two)
    sequence = [event["seq"] for event in two.events]
    assert sequence == list(range(1, len(sequence) + 1))  # one process writes
    devices = two.of("rehearsal")[0]["devices"]
    assert len(devices) == 2
    assert all(one["allocated_bytes"] > 1_000_000 for one in devices)
    assert {path.name for path in run.checkpoints_dir.iterdir()} == {f"step-{n:08d}" for n in (3, 6, 9)}
    assert (run.checkpoints_dir / "step-00000009" / "rng_state_1.pth").is_file()
    assert not list(run.result_dir.rglob("rng_state*"))


def test_two_processes_stop_together_and_one_goes_on(make_run: RunFactory) -> None:
    shared = {**SHARED, "training__max_steps": 30, "training__epochs": 30, "checkpoints__every_steps": 100}
    one = carry(make_run("lora-one", **shared))
    run = make_run("lora-two", training__devices=2, **shared)
    _, _, other = start(run, steps=2)
    os.kill(other, signal.SIGTERM)  # told to one of them, and not to the one that leads
    stopped = ended(run)
    assert "saved at step" in stopped.of("end")[-1]["detail"]
    newest = stopped.of("checkpoint")[-1]["step"]
    assert 2 <= newest < 30
    run.recipe().changed({"training.devices": 1}, "you", "").save(run.recipe_path)
    assert_same(one, carry(run, resume=True))


def test_a_death_ends_the_run_and_it_goes_on(make_run: RunFactory) -> None:
    """A save and kill -9 of the launcher, then kill -9 of one process, then one process to the end: as if nothing had
    been, but that differences in last digits have grown over eighty steps."""
    shared = {**SHARED, "training__max_steps": 80, "training__epochs": 80, "evaluation__every_steps": 40,
              "checkpoints__every_steps": 5}  # fmt: skip
    one = carry(make_run("dead-one", **shared))
    run = make_run("dead-two", training__devices=2, **shared)
    processes = start(run, steps=6)
    request(run, "save")
    wait_for(lambda: Carried(run).of("control"))
    os.kill(processes[0], signal.SIGKILL)
    wait_for(lambda: not any(map(parent_of, processes)), 10)  # no orphan works on
    assert liveness(run).state == "lost"
    _, _, other = start(run, steps=Carried(run).of("checkpoint")[-1]["step"] + 1, resume=True)
    os.kill(other, signal.SIGKILL)
    dead = ended(run)
    assert dead.of("end")[-1]["reason"] == "failed"
    assert f"Process 2 of 2 (pid {other}) was ended by SIGKILL" in dead.of("error")[-1]["what"]
    run.recipe().changed({"training.devices": 1}, "you", "").save(run.recipe_path)
    assert_same(one, carry(run, resume=True), close=1e-3)


def test_what_cannot_be_shared_ends_with_a_sentence(make_run: RunFactory) -> None:
    run = make_run("uneven", training__devices=2, **{**SHARED, "training__gradient_accumulation_steps": 3})
    launch(run)
    done = ended(run)
    assert "effective batch of 15 rows would change" in done.of("error")[-1]["what"]
    assert done.of("end")[-1]["reason"] == "failed"


def test_a_stop_before_the_processes_work_is_said_too(make_run: RunFactory) -> None:
    run = make_run("early", training__devices=2, **SHARED)
    launch(run)
    wait_for(run.state)
    assert signal_engine(run, signal.SIGTERM)
    assert ended(run).of("end")[-1]["reason"] == "stopped"


@pytest.mark.long
def test_when_even_single_rows_do_not_fit_the_processes_start_afresh_together(make_run: RunFactory) -> None:
    shared = {**SHARED, "training__max_steps": 4}
    one = carry(make_run("afresh-one", **shared))
    run = make_run("afresh-two", training__devices=2, **shared)
    command = [sys.executable, "-m", "tests.engine.train.faulty_rank", "launch", str(run.path)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "FAULTY_ALWAYS": "1"}
    assert subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode == 0
    two = Carried(run)
    assert "the engine starts afresh" in next(e["what"] for e in two.of("warning") if e.get("kind") == "restart")
    assert [event["step"] for event in two.of("checkpoint")][:1] == [1]  # what was done is kept
    assert_same(one, two, close=1e-4)


@pytest.mark.long
def test_when_memory_runs_out_in_one_all_do_the_step_again(make_run: RunFactory) -> None:
    """QLoRA, whose weights each process loads on its own device."""
    shared = {**SHARED, "method__name": "qlora", "training__max_steps": 4}
    one = carry(make_run("short-one", **shared))
    run = make_run("short-two", training__devices=2, **shared)
    command = [sys.executable, "-m", "tests.engine.train.faulty_rank", "launch", str(run.path)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    assert subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode == 0
    two = Carried(run)
    assert [(event["step"], event["parts"]) for event in two.of("oom")] == [(2, 2)]
    assert_same(one, two, close=1e-4)
