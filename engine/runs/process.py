"""The engine's process: started on its own, found again, signalled without hitting a stranger."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import engine
from engine.errors import UserError
from engine.runs.detach import detachment, scope_command
from engine.runs.kills import killed_for_memory
from engine.runs.lock import lock_owner
from engine.runs.nodes import ONE_NODE, Nodes
from engine.runs.slurm import place_of
from engine.runs.store import Run
from engine.runs.unsloth_place import import_path, interpreter

State = Literal["new", "running", "stalled", "stopped", "failed", "finished", "lost", "elsewhere", "queued"]

STALL_SECONDS = 60.0
"""An engine beats once a second; this long without a beat means that it hangs or is suspended."""

START_SECONDS = 30.0
REHEARSE_ONLY = "TUNEWRIGHT_REHEARSE_ONLY"
"""Set in the environment of an engine that is to stop after its rehearsal."""
"""The engine takes its lock before it imports anything heavy: tenths of a second, seconds on a slow disk."""

_children: list[subprocess.Popen[bytes]] = []
"""Kept so that Python does not warn about engines that outlive their launcher, which is their purpose."""


@dataclass(frozen=True)
class Liveness:
    """Whether anybody works on a run. `detail` is a sentence for a person; `pid` is 0 when unknown."""

    state: State
    detail: str
    pid: int = 0

    @property
    def alive(self) -> bool:
        return self.state in {"running", "stalled"}


def boot_id() -> str:
    """A name for this start of this machine; empty where the system has none."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def identity() -> dict[str, Any]:
    """What tells this process from every other one, for `state.json`."""
    return {"pid": os.getpid(), "create_time": _create_time(os.getpid()), "boot_id": boot_id(),
            "host": socket.gethostname()}  # fmt: skip


def _create_time(pid: int) -> float:
    """Start of a process in clock ticks since boot (Linux), or 0.0. With pid and boot id it is unique."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return float(stat.rpartition(")")[2].split()[19])
    return 0.0


def liveness(run: Run) -> Liveness:
    """The state of a run's engine, told apart by its lock, its last snapshot and this machine's boot id."""
    state = run.state()
    owner = lock_owner(run)
    if owner is not None:
        return _of_living(state, owner.pid)
    reason, step = state.get("stop_reason"), state.get("step", 0)
    if reason not in {"finished", "failed"} and (found := _of_job(run, reason)):
        return found
    if reason in {"finished", "stopped", "failed"}:
        words = {"finished": "Finished", "stopped": "Stopped and saved", "failed": "Failed"}[reason]
        return Liveness(reason, str(state.get("stop_detail") or f"{words} at step {step}."))
    if not state:
        return Liveness("new", "Not started yet.")
    return _of_silent(state, step)


def _of_job(run: Run, reason: Any) -> Liveness | None:
    """What SLURM says of a run that was handed in as a job: that it waits, or that it works on another host whose
    lock is not seen here. None without such a job."""
    place = place_of(run)
    if place is None or not (place.waits or place.works):
        return None
    if place.waits:
        return Liveness("queued", place.sentence())
    return None if reason else Liveness("running", place.sentence())


def _of_silent(state: dict[str, Any], step: Any) -> Liveness:
    """An engine without lock and without last word. Containers of one machine have other host names and one boot id,
    and the lock, which is free, counts for all of them."""
    here = state.get("boot_id") == boot_id() != ""
    if not here and state.get("host") not in {None, socket.gethostname()}:
        return Liveness("elsewhere", f"Last seen at step {step} on {state['host']}.")
    if not here and state.get("boot_id") not in {None, ""}:
        return Liveness("lost", f"The machine restarted after step {step}.")
    if killed_for_memory(state):
        return Liveness("lost", f"The system ran out of memory (RAM) and killed the engine after step {step}.")
    return Liveness("lost", f"The engine was killed after step {step}.")


def _of_living(state: dict[str, Any], pid: int) -> Liveness:
    here = state.get("boot_id") == boot_id()
    beat = state.get("mono")
    silent = time.monotonic() - beat if here and isinstance(beat, int | float) else 0.0
    if silent > STALL_SECONDS:
        return Liveness("stalled", f"No sign of life for {silent:.0f} seconds.", pid)
    return Liveness("running", f"{str(state.get('phase', 'starting')).capitalize()}.", pid)


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
        fix = f"Look at it: tunewright attach {run.name}."
        raise UserError(f"Run {run.name} is already being carried out (process {owner.pid}).", str(run.path), fix)
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
                fix = f"Look at it: tunewright attach {run.name}."
                raise UserError(f"Run {run.name} is already being carried out (process {owner.pid}).", str(run.path),
                                fix)  # fmt: skip
            state = run.state()
            if state.get("stop_reason") and state.get("started") != before:
                return True  # it said what was wrong, in its events
            if scope:
                return False
            fix = f"Its last words are in {run.log_path}: {_last_line(run.log_path)}"
            raise UserError(f"The engine ended at once with code {process.returncode}.", str(run.path), fix, 1)
        time.sleep(0.02)
    return True


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


def signal_engine(run: Run, number: signal.Signals) -> bool:
    """Send a signal to the engine of `run`, and to nobody else. False when no engine works there."""
    owner = lock_owner(run)
    if owner is None or owner.pid <= 1:
        return False
    try:
        handle = os.pidfd_open(owner.pid)
    except (AttributeError, OSError):  # no pidfd on this system, or the process has just gone
        return False if hasattr(os, "pidfd_open") else _plain_signal(run, owner.pid, number)
    try:
        if lock_owner(run) != owner:  # it ended between the two calls, and its pid may be another's by now
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _plain_signal(run: Run, pid: int, number: signal.Signals) -> bool:
    current = lock_owner(run)
    if current is None or current.pid != pid:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def kill_engine(run: Run, grace_seconds: float = 10.0) -> bool:
    """End the engine and its whole process group at once. True when nothing works there any more."""
    owner = lock_owner(run)
    if owner is None:
        return True
    group = 0
    with contextlib.suppress(OSError):
        group = os.getpgid(owner.pid)
    if not signal_engine(run, signal.SIGKILL):
        return lock_owner(run) is None
    if group == owner.pid:  # its helpers share the group that it leads, and a group outlives its leader
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + grace_seconds
    while lock_owner(run) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    return lock_owner(run) is None
