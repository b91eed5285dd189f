"""What tells one process from every other one, on this start of this machine."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any


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
