"""What a control group allows this process: containers, systemd slices and batch systems set less than the machine has.

Both versions nest: the tightest limit from our own group up to the root is the one that counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 60  # version 1 writes "no limit" as a number near 2^63; no machine has an exbibyte


@dataclass(frozen=True)
class GroupLimits:
    """`memory_bytes` and `memory_free_bytes` are None without a limit, `cpus` too; `where` names the limiting group."""

    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    cpus: float | None = None
    where: str = ""


def read_limits(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> GroupLimits:
    """The limits along the ancestry of this process under cgroup v2, v1 or both (hybrid). Never raises."""
    memory: int | None = None
    free: int | None = None
    cpus: float | None = None
    where = ""
    for version, controllers, path in _memberships(proc):
        for group in _ancestry(version, controllers, path, root):
            limit, used = _memory(version, group)
            if limit is not None and (memory is None or limit < memory):
                memory, where = limit, str(group)
            if limit is not None and used is not None:
                room = max(0, limit - used)
                free = room if free is None else min(free, room)
            quota = _cpus(version, group)
            if quota is not None:
                cpus = quota if cpus is None else min(cpus, quota)
    return GroupLimits(memory, free, cpus, where)


def _memberships(proc: Path) -> list[tuple[int, str, str]]:
    """(version, controllers, path) for each line of /proc/self/cgroup that can hold memory or CPU limits."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            found.append((2, "", path))
        elif {"memory", "cpu"} & set(controllers.split(",")):
            found.append((1, controllers, path))
    return found


def _ancestry(version: int, controllers: str, path: str, root: Path) -> list[Path]:
    """The directories of our group and all its ancestors that are visible here.

    Inside a container without a cgroup namespace the path is the host's and does not exist; the mount root is then
    our group.
    """
    if version == 2:
        mounts = [root, root / "unified"]
    else:
        mounts = [root / name for name in (controllers, *controllers.split(","))]
    found: list[Path] = []
    for mount in mounts:
        if not mount.is_dir():
            continue
        group = mount / path.strip("/")
        while not group.is_dir() and group != mount:
            group = group.parent
        found.append(group)
        while group != mount:
            group = group.parent
            found.append(group)
    return found


def _memory(version: int, group: Path) -> tuple[int | None, int | None]:
    """(limit, used) bytes; file pages that the kernel can drop at once do not count as used."""
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = _number(group / names[0]), _number(group / names[1])
    if limit is None or limit >= _UNLIMITED:
        return None, None
    if used is not None:
        used = max(0, used - _droppable(group, "inactive_file" if version == 2 else "total_inactive_file"))
    return limit, used


def _droppable(group: Path, field: str) -> int:
    try:
        for line in (group / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == field:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0


def _cpus(version: int, group: Path) -> float | None:
    if version == 2:
        try:
            quota, _, period = (group / "cpu.max").read_text().strip().partition(" ")
            return None if quota == "max" else int(quota) / int(period or 100000)
        except (OSError, ValueError, ZeroDivisionError):
            return None
    allowed, period_us = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    return None if not allowed or allowed < 0 or not period_us else allowed / period_us


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
        return None if text == "max" else int(text)
    except (OSError, ValueError):
        return None
