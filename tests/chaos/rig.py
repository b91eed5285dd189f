"""Children that are forked from a warm process, carry out runs, and die as they are told.

Importing the training libraries takes five seconds, forking a process that has them a hundredth of one. That is what
makes hundreds of kills affordable.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine.runs.store import Run
from engine.train.surroundings import LogStream
from tests.engine.train import material
from tests.engine.train.carried import Carried


@dataclass(frozen=True)
class Workshop:
    """A folder with a tiny model and its rows, in which runs are made."""

    root: Path
    model: Path
    rows: Path

    @classmethod
    def build(cls, root: Path) -> Workshop:
        root.mkdir(parents=True, exist_ok=True)
        return cls(root, material.write_model(root / "model"), material.write_rows(root / "rows.jsonl"))

    def run(self, name: str, **changes: Any) -> Run:
        """A run without evaluation and samples that saves every three steps and keeps two checkpoints."""
        quiet = {"evaluation__held_out_rows": 0, "evaluation__samples": 0, "checkpoints__every_steps": 3,
                 "checkpoints__keep": 2}  # fmt: skip
        return material.make_run(self.root / "runs", name, self.model, self.rows, **{**quiet, **changes})


@dataclass
class Child:
    """A forked process. `said` is a pipe on which it can speak a byte at a time."""

    pid: int
    said: int

    def wait(self) -> int:
        """Its exit code; negative for a signal."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.said)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def hear(self, count: int = 1) -> bool:
        """Wait until it has said `count` bytes; False when it ended before."""
        return all(os.read(self.said, 1) for _ in range(count))


def fork(work: Callable[[Callable[[], None]], int], log: Path) -> Child:
    """Start `work` in a child with a session of its own; it gets a function that says one byte."""
    hears, says = os.pipe()
    pid = os.fork()
    if pid:
        os.close(says)
        return Child(pid, hears)
    code = 1
    try:
        os.setsid()
        os.umask(0o077)
        tqdm.set_lock(threading.RLock())  # its own lock is shared between processes, and a killed one keeps it
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = sys.stderr = LogStream()
        code = work(lambda: os.write(says, b".") and None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def carry_in_child(run: Run, resume: bool = False, before: Callable[[Callable[[], None]], None] | None = None) -> Child:
    """Carry out a run in a child, under its lock; `before` may patch things there first."""

    def work(say: Callable[[], None]) -> int:
        from engine.runs.lock import EngineLock
        from engine.train.run import carry_out

        if before is not None:
            before(say)
        with EngineLock(run):
            return carry_out(run, resume)

    return fork(work, run.log_path)


def say_at_saves(say: Callable[[], None]) -> None:
    """Patch: say a byte whenever a checkpoint begins to be written."""
    from engine.train import saving

    before = saving.Saver._try

    def announced(self: Any, step: int) -> Any:
        say()
        return before(self, step)

    saving.Saver._try = announced  # type: ignore[method-assign]


def digest(run: Run) -> str:
    """sha256 of the final weights."""
    return hashlib.sha256(Carried(run).weights()).hexdigest()


def seconds_of(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
