"""How an engine is started so that a logout does not end it, and what a person has to know where it would."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.runs.surroundings import Surroundings, read_surroundings


@dataclass(frozen=True)
class Detachment:
    """`how`: a session of its own, or also a scope of the user's manager. `sentence` says what ends the run here."""

    how: Literal["session", "scope"]
    outlives: bool
    """Whether the run goes on when the person logs out (in a job or container: when the starter ends)."""
    sentence: str
    fix: str = ""


def decide(here: Surroundings, now: float | None = None) -> Detachment:
    """What to do in these surroundings. Pure; `now` is in seconds since 1970 and only shown as time left."""
    if here.slurm_job:
        return _in_job(here, time.time() if now is None else now)
    if here.container:
        what = f"This is a container ({here.container}): the run ends when the container's first process ends."
        fix = "Where tunewright is that process, `tunewright train ... --follow` stays until the run has ended."
        return Detachment("session", False, what, fix)
    if not here.unit:
        return Detachment("session", True, "Nothing here ends programs at logout.")
    return _in_login(here)


def _in_job(here: Surroundings, now: float) -> Detachment:
    left = f", in {_duration(here.slurm_end - now)}" if here.slurm_end and here.slurm_end > now else ""
    what = f"This is SLURM job {here.slurm_job}: the run ends with the job{left}, and with the script that starts it."
    fix = ("It saves and stops up to two minutes before that. `tunewright train --slurm` writes a job that goes "
           "back into the queue by itself; in one of your own use `srun tunewright train ... --follow` and "
           "`#SBATCH --signal=TERM@300`, and `tunewright resume` in the next job.")  # fmt: skip
    return Detachment("session", False, what, fix)


def _in_login(here: Surroundings) -> Detachment:
    """A login scope is ended where logind kills; a user's manager ends with the last logout unless it lingers."""
    below_manager = here.unit.startswith("user@")
    if not below_manager and here.logout_kills is False:
        return Detachment("session", True, "This system leaves programs running at logout.")
    if here.lingers:
        if below_manager:
            return Detachment("session", True, "Your programs stay after logout here (linger is on).")
        if here.has_manager:
            return Detachment("scope", True, "Logout ends programs here, so the run gets a scope that stays (linger).")
    if here.logout_kills is None and not below_manager:
        what = "It could not be asked whether this system ends your programs when you log out."
    else:
        what = "This system ends your programs when you log out, and the run with them."
    fix = "Type `loginctl enable-linger` before the start, or ask the administrator for it; else stay logged in."
    return Detachment("session", False, what, fix)


def scope_command(name: str) -> list[str]:
    """What goes before a command so that it gets a scope of the user's manager; systemd-run(1) becomes it."""
    unit = f"tunewright-{name}-{os.getpid()}-{time.monotonic_ns()}"
    return ["systemd-run", "--user", "--scope", "--quiet", "--collect", f"--unit={unit}", "--"]


def detachment(look: Callable[[], Surroundings] = read_surroundings) -> Detachment:
    """The decision for this process. Takes milliseconds; asks logind only where a login holds us."""
    return decide(look())


def warnings_before_start(found: Detachment) -> Sequence[str]:
    """What is said before a run starts: nothing where it outlives a logout."""
    return () if found.outlives else (f"{found.sentence} {found.fix}".strip(),)


def _duration(seconds: float) -> str:
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
