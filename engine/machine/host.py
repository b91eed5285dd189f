"""The host's memory, processors and disk, under whatever limits this process lives in."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.machine.cgroups import GroupLimits, read_limits
from engine.places import model_cache_directory, runs_root

GIB = 1 << 30


@dataclass(frozen=True)
class Host:
    """What this process may use. `limits` says in words what makes it less than the machine has."""

    ram_total_bytes: int
    ram_available_bytes: int
    cpu_count: float
    disk_free_bytes: int
    disk_path: str
    limits: tuple[str, ...]
    swap_total_bytes: int = 0
    shared_memory_free_bytes: int = 0
    model_cache_free_bytes: int = 0
    model_cache_path: str = ""


def read_host(runs_directory: Path | None = None) -> Host:
    """Read the host; never raises, what cannot be read is 0 and named in `limits`."""
    limits: list[str] = []
    total, available, swap = _memory(limits)
    group = read_limits()
    total, available = _capped(total, available, group, limits)
    runs = runs_directory if runs_directory is not None else runs_root()
    free, place = free_bytes(runs, limits)
    cache = model_cache_directory()
    cache_free, cache_place = free_bytes(cache, [])
    shared, _ = free_bytes(Path("/dev/shm"), [])
    return Host(
        total, available, cpu_count(group, limits), free, place, tuple(limits), swap, shared, cache_free, cache_place
    )


def free_bytes(directory: Path, limits: list[str]) -> tuple[int, str]:
    """Bytes that this user may still write on the file system of `directory`, and the existing ancestor that was
    asked."""
    place = directory
    try:
        place = directory.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        return shutil.disk_usage(place).free, str(place)
    except OSError as error:
        limits.append(f"The free space of {place} could not be read: {error.strerror or error}.")
        return 0, str(place)


def cpu_count(group: GroupLimits, limits: list[str]) -> float:
    """Processors this process may use: affinity mask and control-group quota, whichever is less."""
    machine = os.cpu_count() or 1
    usable: float = machine
    if hasattr(os, "sched_getaffinity"):
        with contextlib.suppress(OSError):
            usable = len(os.sched_getaffinity(0))
    if usable < machine:
        limits.append(f"This process may run on {usable:g} of {machine} processors.")
    if group.cpus is not None and group.cpus < usable:
        limits.append(f"A control group allows {group.cpus:g} of {usable:g} processors.")
        usable = group.cpus
    return float(usable)


def _memory(limits: list[str]) -> tuple[int, int, int]:
    """Total RAM, available RAM and swap in bytes as the kernel sees the whole machine."""
    try:
        psutil = importlib.import_module("psutil")
        memory = psutil.virtual_memory()
        return int(memory.total), int(memory.available), int(psutil.swap_memory().total)
    except Exception as error:  # a missing wheel or an odd kernel must not stop the first page
        limits.append(
            f"The memory of this machine could not be read with psutil ({error}); physical memory is shown as free."
        )
    with contextlib.suppress(ValueError, OSError, AttributeError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return total, total, 0
    return 0, 0, 0


def _capped(total: int, available: int, group: GroupLimits, limits: list[str]) -> tuple[int, int]:
    if group.memory_bytes is not None and group.memory_bytes < total:
        limits.append(
            f"A control group ({group.where}) allows {group.memory_bytes / GIB:.1f} of {total / GIB:.1f} GiB of memory."
        )
        total = group.memory_bytes
    if group.memory_free_bytes is not None:
        available = min(available, group.memory_free_bytes)
    return total, min(available, total)
