"""Starting the engine: in a session of its own, with an environment of its own, and seen to have taken its lock."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import engine
from engine.errors import UserError
from engine.runs.detach import detachment, scope_command
from engine.runs.lock import Owner, lock_owner
from engine.runs.nodes import ONE_NODE, Nodes
from engine.runs.store import Run
from engine.runs.unsloth_place import import_path, interpreter

START_SECONDS = 30.0
"""The engine takes its lock before it imports anything heavy: tenths of a second, seconds on a slow disk."""
REHEARSE_ONLY = "TUNEWRIGHT_REHEARSE_ONLY"
"""Set in the environment of an engine that is to stop after its rehearsal."""

_children: list[subprocess.Popen[bytes]] = []
"""Kept so that Python does not warn about engines that outlive their launcher, which is their purpose."""


def launch_rehearsal(run: Run) -> int:
    """Start the engine for the rehearsal alone: it loads, measures the longest batch, and stops before the first step.

    `launch` with `resume` trains afterwards. Returns and raises as `launch` does.
    """
    return launch(run, environment={REHEARSE_ONLY: "1"})


def launch(run: Run, resume: bool = False, environment: dict[str, str] | None = None, nodes: Nodes = ONE_NODE) -> int:
    """Start the engine in a session of its own and return its pid once it holds the run's lock.

    It shares no terminal, pipe or session with us, so that nothing which ends us ends it.
    Raises UserError when an engine works there already or the new one ends at once.
    """
    owner = lock_owner(run)
    if owner is not None:
        raise _already_at_work(run, owner)
    other = interpreter(run.recipe())
    command = [other or sys.executable, "-P", "-m", "engine", "train", str(run.path), *(["--resume"] if resume else []),
               *nodes.words()]  # fmt: skip
    settings = engine_environment(environment)
    if other:
        settings["PYTHONPATH"] = import_path()
    if detachment().how == "scope":
        process = _start(run, [*scope_command(run.name), *command], settings)
        if _await_lock(run, process, scope=True):
            return process.pid  # systemd-run becomes the engine, so that its pid is the engine's
    process = _start(run, command, settings)
    _await_lock(run, process)
    return process.pid


def _start(run: Run, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    log = os.open(run.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(  # argv only, never a shell
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True,
            cwd=run.path, env=environment, umask=0o077,
        )  # fmt: skip
    finally:
        os.close(log)
    _children.append(process)
    return process


def _await_lock(run: Run, process: subprocess.Popen[bytes], scope: bool = False) -> bool:
    """Wait until the engine holds the lock. False when it was to get a scope and there was none to get.

    Raises UserError when it ended at once, or when another one was quicker to take the lock.
    """
    deadline = time.monotonic() + START_SECONDS
    before = run.state().get("started")
    while time.monotonic() < deadline:
        owner = lock_owner(run)
        if owner is not None and owner.pid in {process.pid, 0}:  # 0: it lives in a pid namespace that is not ours
            return True
        if process.poll() is not None:
            if owner is not None:
                raise _already_at_work(run, owner)
            state = run.state()
            if state.get("stop_reason") and state.get("started") != before:
                return True  # it said what was wrong, in its events
            if scope:
                return False
            fix = f"Its last words are in {run.log_path}: {_last_line(run.log_path)}"
            raise UserError(f"The engine ended at once with code {process.returncode}.", str(run.path), fix, 1)
        time.sleep(0.02)
    return True


def _already_at_work(run: Run, owner: Owner) -> UserError:
    what = f"Run {run.name} is already being carried out (process {owner.pid})."
    return UserError(what, str(run.path), f"Look at it: tunewright attach {run.name}.")


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "(nothing)"
    return "(nothing)"


def engine_environment(changes: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of every engine process: quiet, without telemetry, and able to import this package."""
    environment = dict(os.environ)
    defaults = {
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "TOKENIZERS_PARALLELISM": "true",
        "TRANSFORMERS_VERBOSITY": "warning",
        "BITSANDBYTES_NOWELCOME": "1",
    }
    fixed = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONUNBUFFERED": "1",
             "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # fmt: skip
    for name, value in defaults.items():
        environment.setdefault(name, value)
    environment.update(fixed)
    home = Path(engine.__file__).parent.parent
    if "site-packages" not in home.parts:  # a checkout that is not installed
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH")]))
    environment.update(changes or {})
    return environment
