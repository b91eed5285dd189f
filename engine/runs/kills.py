"""Kills by the kernel for want of memory. The victim learns nothing, so the counter is noted and compared later."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MACHINE = Path("/proc/vmstat")


def memory_counter() -> Path:
    """The file that counts the kills which can hit this process: its control group's, else the machine's."""
    with contextlib.suppress(OSError, IndexError):
        number, _, group = Path("/proc/self/cgroup").read_text().splitlines()[-1].split(":", 2)
        events = Path("/sys/fs/cgroup") / group.lstrip("/") / "memory.events"
        if number == "0" and events.is_file():
            return events
    return _MACHINE


def memory_kills(counter: Path) -> int:
    """The field `oom_kill` of `counter` (cgroup-v2 memory.events, or vmstat); 0 when it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        for line in counter.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0


def killed_for_memory(state: Mapping[str, Any]) -> bool:
    """Whether the kernel has killed for memory, where the engine of this snapshot lived, since it started.

    Only for a snapshot of the present boot: the counters begin anew with the machine. A group that is gone (its scope
    or container ended with the engine) counts nothing; then the machine's own counter is asked.
    """
    counter = Path(str(state.get("memory_counter") or _MACHINE))
    field = "memory_kills" if counter.is_file() else "machine_kills"
    before = state.get(field)
    return isinstance(before, int) and memory_kills(counter if counter.is_file() else _MACHINE) > before


def memory_record() -> dict[str, Any]:
    """What `killed_for_memory` compares with, for `state.json`."""
    counter = memory_counter()
    return {"memory_counter": str(counter), "memory_kills": memory_kills(counter),
            "machine_kills": memory_kills(_MACHINE)}  # fmt: skip
