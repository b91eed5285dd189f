"""Runs whose engine was lost with the machine or killed, and how to go on with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.runs.control import discard_requests
from engine.runs.liveness import Liveness, liveness
from engine.runs.process import launch
from engine.runs.slurm import job_of
from engine.runs.store import Run, list_runs

FRUITLESS_STARTS = 3
"""So many engines in a row that died before their first new step: another one would die too."""

WATCH_SECONDS = 30.0
"""An engine writes its snapshot once a second; one that is silent for so long on another host has ended. Network file
systems show a change within seconds (their attribute caches end after 3 to 60; a changed file is read anew)."""


@dataclass(frozen=True)
class Outcome:
    """What came of one lost run: `pid` of its new engine, or the `error` that was in the way."""

    run: Run
    before: Liveness
    step: int
    """The last step that the lost engine told; where the new one goes on is the last checkpoint that verifies."""
    pid: int = 0
    error: UserError | None = None


def checkpoint_step(run: Run) -> int:
    """The highest step that has a checkpoint directory; 0 without any. Whether it verifies is seen when it is used."""
    try:
        names = [path.name for path in run.checkpoints_dir.iterdir()]
    except OSError:
        return 0
    return max((int(name[5:]) for name in names if name.startswith("step-") and name[5:].isdigit()), default=0)


def is_silent(
    runs: list[Run], seconds: float = WATCH_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> set[Path]:
    """The paths of those runs whose snapshot does not change for so long. Clocks of other hosts are not asked."""
    before = {run.path: run.state().get("heartbeat") for run in runs}
    waited = 0.0
    while waited < seconds and before:
        sleep(min(1.0, seconds - waited))
        waited += 1.0
        before = {run.path: before[run.path] for run in runs
                  if run.path in before and run.state().get("heartbeat") == before[run.path]}  # fmt: skip
    return set(before)


def lost_runs(root: Path | None = None, watch_seconds: float = WATCH_SECONDS) -> list[tuple[Run, Liveness]]:
    """Runs below `root` that ended without a last word, the newest first, with what happened to them.

    A run of another host (a container has a new name after every restart) is watched before it counts as lost.
    """
    found = [(run, liveness(run)) for run in list_runs(root)]
    elsewhere = [run for run, now in found if now.state == "elsewhere"]
    silent = is_silent(elsewhere, watch_seconds)
    return [(run, now) for run, now in found if now.state == "lost" or run.path in silent]


def resume_lost(root: Path | None = None, watch_seconds: float = WATCH_SECONDS) -> list[Outcome]:
    """Start an engine for each lost run, one after the other. For machines that restart.

    Never starts a second engine for a run: the engine takes the run's lock before anything else, and one that finds
    it taken ends; then the outcome has the error that names the other.
    """
    return [_resume(run, before) for run, before in lost_runs(root, watch_seconds)]


def _resume(run: Run, before: Liveness) -> Outcome:
    step = int(run.state().get("step") or 0)
    try:
        _refuse_when_hopeless(run)
        discard_requests(run)
        return Outcome(run, before, step, pid=launch(run, resume=True))
    except UserError as error:
        now = liveness(run)
        if now.alive:  # somebody else was quicker, and it goes on
            return Outcome(run, before, step, pid=now.pid)
        return Outcome(run, before, step, error=error)
    except OSError as error:
        fix = "Look at the permissions and the disk, then: tunewright resume " + run.name
        return Outcome(run, before, step, error=UserError(f"It cannot be started: {error}.", str(run.path), fix, 1))


def _refuse_when_hopeless(run: Run) -> None:
    """The snapshot counts the fruitless starts before its own engine; that engine is one more when it got nowhere."""
    state = run.state()
    step, start = int(state.get("step") or 0), int(state.get("start_step") or 0)
    starts = 0 if step > start else int(state.get("fruitless_starts") or 0) + 1
    if job_of(run):
        fix = f"Hand it in again: tunewright resume {run.name}."
        raise UserError("It is carried out by jobs of SLURM, so no engine is started here.", run.name, fix, exit_code=1)
    if starts >= FRUITLESS_STARTS:
        what = f"{starts} engines in a row were lost before their first new step, so no other one is started."
        fix = f"Look into {run.log_path}, then: tunewright resume {run.name}."
        raise UserError(what, run.name, fix, exit_code=1)
