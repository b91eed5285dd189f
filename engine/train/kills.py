"""Kills by the kernel for want of memory. The victim learns nothing, so the counter is noted and compared later."""

from __future__ import annotations

import contextlib
from pathlib import Path


def memory_kills() -> int:
    """How often the kernel has killed for memory: in this control group where it counts, else on this machine."""
    with contextlib.suppress(OSError, IndexError):
        group = Path("/proc/self/cgroup").read_text().splitlines()[-1].split(":", 2)
        if group[0] == "0":
            return _counter(Path("/sys/fs/cgroup") / group[2].lstrip("/") / "memory.events", "oom_kill")
    with contextlib.suppress(OSError):
        return _counter(Path("/proc/vmstat"), "oom_kill")
    return 0


def _counter(path: Path, name: str) -> int:
    """The number behind `name`. Raises OSError when the file is not there."""
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name:
            return int(words[1])
    return 0
