"""What ends processes here besides themselves: a logout, a batch job, a container. Facts only; nothing is decided.

Sources: logind.conf(5) (KillUserProcesses, KillOnlyUsers, KillExcludeUsers), org.freedesktop.login1(5) (the properties
that are read), sd_booted(3) (/run/systemd/system), loginctl(1) (Linger), sbatch(1) (SLURM_JOB_ID, SLURM_JOB_END_TIME).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

ANSWER_SECONDS = 3.0
_LOGIND = ("busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
           "org.freedesktop.login1.Manager", "KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers")  # fmt: skip


@dataclass(frozen=True)
class Surroundings:
    """Where this process lives. None means that it could not be asked."""

    unit: str = ""
    """The systemd unit of a login or of a user's manager that holds us: `session-3.scope`, `user@1000.service`."""
    logout_kills: bool | None = False
    """Whether logind ends what is left of this user's sessions (KillUserProcesses and its two lists of names)."""
    lingers: bool | None = False
    """Whether this user's manager stays after the last logout."""
    has_manager: bool = False
    """Whether this user's manager can be asked to hold a scope."""
    slurm_job: str = ""
    slurm_end: float | None = None
    """When the job's time is up, in seconds since 1970."""
    container: str = ""
    """Which kind of container: `docker`, `podman`, `kubernetes`, or empty."""


def read_surroundings(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> Surroundings:
    """Look around. Never raises; asks logind only where systemd runs and a login holds us. `root` is for tests."""
    unit = _unit(root / "proc/self/cgroup")
    booted = (root / "run/systemd/system").is_dir()
    asks = booted and bool(unit)
    return Surroundings(
        unit=unit, logout_kills=_logout_kills() if asks else False, lingers=_lingers() if asks else False,
        has_manager=booted and _has_manager(environment), slurm_job=environment.get("SLURM_JOB_ID", ""),
        slurm_end=_slurm_end(environment), container=_container(environment, root),
    )  # fmt: skip


def _unit(cgroup: Path) -> str:
    """The innermost login scope or user manager on our path of control groups."""
    with contextlib.suppress(OSError):
        for line in cgroup.read_text().splitlines():
            number, controllers, path = [*line.split(":", 2), "", ""][:3]
            if number == "0" or controllers == "name=systemd":
                found = re.findall(r"(?:^|/)(session-[^/]+\.scope|user@\d+\.service)(?=/|$)", path)
                if found:
                    return str(found[-1])
    return ""


def _ask(*command: str) -> list[str] | None:
    """The lines that a command answers; None when it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS,
                              stdin=subprocess.DEVNULL)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def _logout_kills() -> bool | None:
    lines = _ask(*_LOGIND)
    if lines is None or len(lines) < 3:
        return None
    return applies(lines[0], lines[1], lines[2], _user_name())


def applies(kills: str, only: str, excluded: str, user: str) -> bool:
    """logind's rule from its three properties as busctl prints them: `b true`, `as 0`, `as 1 "root"`."""
    if kills.split()[-1:] != ["true"]:
        return False
    chosen = re.findall(r'"([^"]*)"', only)
    return user not in re.findall(r'"([^"]*)"', excluded) and (not chosen or user in chosen)


def _lingers() -> bool | None:
    lines = _ask("loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value")
    return None if not lines else lines[0].strip() == "yes"


def _user_name() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return ""


def _has_manager(environment: Mapping[str, str]) -> bool:
    place = environment.get("XDG_RUNTIME_DIR")
    return bool(place) and (Path(str(place)) / "systemd" / "private").exists()


def _slurm_end(environment: Mapping[str, str]) -> float | None:
    """When the job's time is up: SLURM before 23 does not set the variable, but can be asked (squeue(1), %e)."""
    job, told = environment.get("SLURM_JOB_ID", ""), environment.get("SLURM_JOB_END_TIME", "")
    if told or not job:
        return _number(told)
    lines = _ask("squeue", "--noheader", "--jobs", job, "--format", "%e")
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(lines[0].strip()).timestamp() if lines else None
    return None  # "N/A": the job has no limit


def _container(environment: Mapping[str, str], root: Path) -> str:
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if (root / "run/.containerenv").exists():
        return "podman"
    return "docker" if (root / ".dockerenv").exists() else ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
