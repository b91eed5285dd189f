"""Whether anybody works on a run: told by its lock, its last snapshot, this machine's boot id and SLURM."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Any, Literal

from engine.runs.identity import boot_id
from engine.runs.kills import killed_for_memory
from engine.runs.lock import lock_owner
from engine.runs.slurm import place_of
from engine.runs.store import Run

State = Literal["new", "running", "stalled", "stopped", "failed", "finished", "lost", "elsewhere", "queued"]

STALL_SECONDS = 60.0
"""An engine beats once a second; this long without a beat means that it hangs or is suspended."""


@dataclass(frozen=True)
class Liveness:
    """Whether anybody works on a run. `detail` is a sentence for a person; `pid` is 0 when unknown."""

    state: State
    detail: str
    pid: int = 0

    @property
    def alive(self) -> bool:
        return self.state in {"running", "stalled"}


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
