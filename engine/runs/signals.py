"""Signals to a run's engine, and to nobody else: the lock names its holder, and a pidfd cannot be another process."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from engine.runs.lock import lock_owner
from engine.runs.store import Run


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
