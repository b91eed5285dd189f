"""Who works on a run: asked of the kernel, never guessed from a pid file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.runs import process
from engine.runs.identity import boot_id, identity
from engine.runs.liveness import Liveness, liveness
from engine.runs.lock import lock_owner
from engine.runs.process import engine_environment
from engine.runs.signals import kill_engine, signal_engine
from engine.runs.store import Run, create_run

HOLDER = """
import os, sys, time
from pathlib import Path
from engine.runs.lock import EngineLock
from engine.runs.store import Run
with EngineLock(Run(Path(sys.argv[1]))):
    if "fork" in sys.argv and os.fork() == 0:
        time.sleep(60)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    answers = {"model.source": Answer("m", "you", ""), "data.source": Answer("d", "you", "")}
    return create_run(Recipe.from_answers(answers), tmp_path, "a")


def hold(run: Run, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HOLDER, str(run.path), *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=engine_environment(), start_new_session=True)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    return child


def write_state(run: Run, **fields: object) -> None:
    run.state_path.write_text(json.dumps({"boot_id": boot_id(), "host": os.uname().nodename, "step": 7, **fields}))


def test_the_lock_names_its_holder_and_goes_with_it(run: Run) -> None:
    assert lock_owner(run) is None
    child = hold(run, "fork")
    owner = lock_owner(run)
    assert owner is not None
    assert owner.pid == child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert lock_owner(run) is None, "a forked helper must not keep the lock of a dead engine"
    os.killpg(child.pid, signal.SIGKILL)


def test_a_second_engine_is_refused_by_name(run: Run) -> None:
    child = hold(run)
    second = subprocess.run([sys.executable, "-c", HOLDER, str(run.path)], capture_output=True, text=True,
                            env=engine_environment(), timeout=30)  # fmt: skip
    assert f"process {child.pid}" in second.stderr
    with pytest.raises(UserError, match="already being carried out"):
        process.launch(run)
    assert kill_engine(run)
    child.wait()


def test_states_are_told_apart(run: Run) -> None:
    assert liveness(run).state == "new"
    for reason in ("finished", "stopped", "failed"):
        write_state(run, stop_reason=reason)
        assert liveness(run).state == reason
    write_state(run)
    assert liveness(run) == Liveness("lost", "The engine was killed after step 7.")
    write_state(run, boot_id="another")
    assert liveness(run) == Liveness("lost", "The machine restarted after step 7.")
    write_state(run, host="another", boot_id="another")
    assert liveness(run) == Liveness("elsewhere", "Last seen at step 7 on another.")
    write_state(run, host="another")  # a container of this machine, whose free lock counts here too
    assert liveness(run).state == "lost"
    write_state(run, memory_counter="/nowhere", memory_kills=0, machine_kills=-1)
    assert liveness(run) == Liveness("lost", "The system ran out of memory (RAM) and killed the engine after step 7.")
    child = hold(run)
    write_state(run, phase="training", mono=time.monotonic())
    assert liveness(run) == Liveness("running", "Training.", child.pid)
    write_state(run, phase="training", mono=time.monotonic() - 1000)
    assert liveness(run).state == "stalled"
    assert kill_engine(run)
    child.wait()
    assert liveness(run).state == "lost"


def test_a_signal_reaches_the_engine_and_nobody_else(run: Run) -> None:
    assert not signal_engine(run, signal.SIGTERM)
    write_state(run, **{**identity(), "pid": os.getpid()})  # a stale record that names this very process
    assert not signal_engine(run, signal.SIGKILL)
    child = hold(run)
    assert signal_engine(run, signal.SIGTERM)
    assert child.wait(timeout=10) == -signal.SIGTERM


def test_an_engine_that_ends_at_once_is_reported_with_its_last_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.sys, "executable", "/bin/false")
    with pytest.raises(UserError) as caught:
        process.launch(run)
    assert "code 1" in caught.value.what
    assert str(run.log_path) in caught.value.fix
