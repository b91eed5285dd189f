"""Resuming a run that ended early, or starting one that never was: by an engine of this machine, or as another job of
SLURM where it was handed in to that. The command line and the screens both do it from here."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UserError
from engine.machine.packages import require_training_packages
from engine.runs import process
from engine.runs.control import discard_requests
from engine.runs.liveness import Liveness, liveness
from engine.runs.local_paths import check_sources
from engine.runs.nodes import ONE_NODE, Nodes
from engine.runs.slurm import job_of, submit
from engine.runs.slurm_script import FILE
from engine.runs.store import Run


@dataclass(frozen=True)
class Resumed:
    """What works on the run from now on: an engine of this machine, or a job that waits for its turn."""

    pid: int = 0
    """0 for a job."""
    job: str = ""
    """SLURM's number; empty for an engine of this machine."""

    @property
    def sentence(self) -> str:
        if self.job:
            return f"It is handed in again as SLURM job {self.job}."
        return f"The engine works again (process {self.pid})."


def has_begun(run: Run) -> bool:
    """Whether an engine ever said something about this run, so that there is something to resume."""
    return bool(run.state() or run.events_path.exists())


def check_resumable(run: Run) -> Liveness:
    """The run's state. UserError when it has finished, or waits in SLURM's queue already."""
    now = liveness(run)
    if now.state == "finished":
        fix = f"Begin a new run with its recipe: tunewright train {run.recipe_path}"
        raise UserError(f"Run {run.name} has finished, so there is nothing to go on with.", str(run.path), fix)
    if now.state == "queued":
        fix = f"Take it out first: tunewright stop {run.word}."
        raise UserError(f"Run {run.name} waits for its turn already.", now.detail, fix)
    return now


def resume_run(run: Run, nodes: Nodes = ONE_NODE) -> Resumed:
    """Start what carries the run out; requests that nobody answered are forgotten first.

    Raises UserError as `check_resumable` does, when SLURM does not take the job, when packages are missing here, when
    the model or the data was moved, and when an engine works on the run or the new one ends at once.
    """
    check_resumable(run)
    if not job_of(run):  # what a job reads may be there on its own machine only
        check_sources(run.recipe(), run.name)
    discard_requests(run)
    if job_of(run):
        return Resumed(job=submit(run, run.path / FILE))
    require_training_packages()
    return Resumed(pid=process.launch(run, resume=has_begun(run), nodes=nodes))
