"""No stranger is ever signalled, and no run ever has two writers, whatever its snapshot and lock file say."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.recipe import Answer, Recipe
from engine.runs.identity import boot_id, identity
from engine.runs.liveness import liveness
from engine.runs.lock import lock_owner
from engine.runs.process import engine_environment
from engine.runs.recover import is_silent, lost_runs
from engine.runs.signals import kill_engine, signal_engine
from engine.runs.store import Run, create_run
from tests.engine.runs.test_process import hold

SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make(tmp_path, "a")


def make(root: Path, name: str) -> Run:
    answers = {"model.source": Answer("m", "you", ""), "data.source": Answer("d", "you", "")}
    return create_run(Recipe.from_answers(answers), root, name)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A living process of this user that has the pid which a snapshot names."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def snapshot(run: Run, pid: int, boot: str, host: str, created: float) -> None:
    state = {"v": 1, "pid": pid, "boot_id": boot, "host": host, "create_time": created, "step": 7}
    run.state_path.write_text(json.dumps(state))


CASES = list(itertools.product(("same boot", "other boot", "no boot"), ("same host", "other host"),
                               ("same start", "other start"), ("no lock file", "stale lock file", "held")))  # fmt: skip


@pytest.mark.parametrize(("boot", "host", "start", "lock"), CASES, ids=["-".join(case) for case in CASES])
def test_a_reused_pid_is_never_signalled(
    run: Run, stranger: subprocess.Popen[bytes], boot: str, host: str, start: str, lock: str
) -> None:
    mine = identity()
    snapshot(run, stranger.pid, {"same boot": boot_id(), "other boot": "b" * 36, "no boot": ""}[boot],
             mine["host"] if host == "same host" else "elsewhere", 0.0 if start == "other start" else 1.0)  # fmt: skip
    engine = None
    if lock == "stale lock file":
        run.lock_path.write_text(str(stranger.pid))
    if lock == "held":
        engine = hold(run)
    for number in SIGNALS if engine is None else (signal.SIGTERM,):
        assert signal_engine(run, number) is (engine is not None)
    assert kill_engine(run)
    if engine is not None:
        assert engine.wait(timeout=10) in {-signal.SIGTERM, -signal.SIGKILL}
    assert stranger.poll() is None, "a stranger was hit"
    assert not liveness(run).alive


CONTENDER = """
import os, sys, time
from pathlib import Path
from engine.errors import UserError
from engine.runs.lock import EngineLock
from engine.runs.store import Run
run = Run(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read(1)
try:
    with EngineLock(run):
        with open(run.path / "writers", "a") as stream:
            stream.write(f"{os.getpid()}\\n")
        sys.stdin.read(1)
except UserError:
    sys.exit(2)
"""


def test_of_many_engines_that_start_at_once_one_writes(run: Run) -> None:
    command = [sys.executable, "-c", CONTENDER, str(run.path)]
    several = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=engine_environment())
               for _ in range(6)]  # fmt: skip
    for one in several:
        assert one.stdout is not None and one.stdout.readline() == b"ready\n"
    for one in several:
        assert one.stdin is not None
        one.stdin.write(b"g")
        one.stdin.flush()
    owner = None
    while owner is None:
        owner = lock_owner(run)
    losers = [one for one in several if one.pid != owner.pid]
    assert [one.wait(timeout=20) for one in losers] == [2] * 5
    for one in several:
        assert one.stdin is not None and one.stdout is not None
        one.stdin.close()
        one.stdout.close()
    assert next(one for one in several if one.pid == owner.pid).wait(timeout=20) == 0
    assert (run.path / "writers").read_text() == f"{owner.pid}\n"


def test_a_run_of_another_host_is_watched_before_it_counts_as_lost(tmp_path: Path) -> None:
    silent, beating = make(tmp_path, "silent"), make(tmp_path, "beating")
    for run in (silent, beating):
        snapshot(run, os.getpid(), "b" * 36, "elsewhere", 1.0)

    def beat(seconds: float) -> None:
        state = beating.state()
        beating.state_path.write_text(json.dumps({**state, "heartbeat": state.get("heartbeat", 0) + 1}))

    assert is_silent([silent, beating], 2.0, beat) == {silent.path}
    timer = threading.Timer(0.1, beat, (0,))
    timer.start()
    assert [run.name for run, _ in lost_runs(tmp_path, 1.0)] == ["silent"]
    timer.join()


def test_a_lock_file_that_is_a_folder_or_unreadable_says_nobody(run: Run) -> None:
    run.lock_path.mkdir()
    assert lock_owner(run) is None
    assert not signal_engine(run, signal.SIGKILL)
