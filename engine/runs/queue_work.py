"""Carrying out a queue: `python -m engine queue DIR` starts its runs and waits for them. Imports nothing heavy.

The worker dies without harm: the runs have sessions of their own and go on, and a new worker takes them over.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine.errors import UserError
from engine.runs.control import request
from engine.runs.liveness import liveness
from engine.runs.process import engine_environment, launch
from engine.runs.queue import Queue, standing
from engine.runs.store import Run

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 0.3
"""A viewer holds the lock for microseconds; another worker holds it to its end."""
GONE_ON_WITH = ("lost",)
"""States of a run that a fresh worker goes on with: nobody chose that it should end."""


def launch_worker(queue: Queue) -> int:
    """Start the worker in a session of its own and return its pid. Raises UserError when one is there."""
    if queue.worked_on:
        fix = "See it: tunewright queue."
        raise UserError(f"The queue {queue.name} is being worked on already.", str(queue.path), fix)
    queue.take_stop_back()
    log = os.open(queue.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine", "queue", str(queue.path)], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True, close_fds=True, cwd=queue.path, env=engine_environment(), umask=0o077,
        )  # fmt: skip
    finally:
        os.close(log)
    deadline = time.monotonic() + 30
    while not queue.worked_on and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return process.pid


def work_off(path: Path, start: Callable[..., int] = launch, pause: Callable[[float], None] = time.sleep) -> int:
    """Work off the queue in `path`. Returns 0 when every run was dealt with, 3 when it was asked to stop."""
    queue = Queue(path)
    with queue.held(PATIENCE_SECONDS) as mine:
        if not mine:
            sys.stderr.write("Another worker has this queue.\n")
            return 2
        return _Worker(queue, start, pause).run()


class _Worker:
    """One pass over the runs; what goes on is remembered by its GPU."""

    def __init__(self, queue: Queue, start: Callable[..., int], pause: Callable[[float], None]) -> None:
        self.queue, self.start, self.pause = queue, start, pause
        self.working: dict[str, Run] = {}
        self.begun: set[str] = set()
        self.interrupted = set(queue.interrupted())

    def run(self) -> int:
        self._take_over()
        while True:
            if self.queue.asked_to_stop:
                return self._stop()
            self.working = {device: run for device, run in self.working.items() if liveness(run).alive}
            for device in self.queue.devices():
                if device not in self.working:
                    self._begin_next(device)
            if not self.working:
                return 0
            self.pause(POLL_SECONDS)

    def _take_over(self) -> None:
        """What an earlier worker started and still goes on keeps its place."""
        free = self.queue.devices()
        for run, now in standing(self.queue):
            if now.alive and free:
                self.working[free.pop(0)] = run

    def _begin_next(self, device: str) -> None:
        for run, now in standing(self.queue):
            if not self._waits(run, now.state) or run.name in self.begun:
                continue
            self.begun.add(run.name)
            chosen = {"CUDA_VISIBLE_DEVICES": device} if device else None
            try:
                self.start(run, resume=now.state != "new", environment=chosen)
            except UserError as error:
                sys.stderr.write(f"{run.name}: {error}\n")
                self.queue.remember_failure(run, error.what)
                continue
            self.working[device] = run
            return

    def _waits(self, run: Run, state: str) -> bool:
        if state == "stopped":
            return run.name in self.interrupted
        return state == "new" or (state in GONE_ON_WITH and run.recipe_path.is_file())

    def _stop(self) -> int:
        self.queue.remember_interrupted([run.name for run in self.working.values()])
        for run in self.working.values():
            request(run, "stop")
        while any(liveness(run).alive for run in self.working.values()):
            self.pause(POLL_SECONDS)
        self.queue.take_stop_back()
        return 3
