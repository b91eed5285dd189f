"""Find where a run can go on, and make sure that it is still the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.runs.store import Run
from engine.train import checkpoint, result
from engine.train.checkpoint import Checkpoint
from engine.train.facts import refuse_changed
from engine.train.reporter import Reporter
from engine.train.session import Engine


def clean_up(run: Run, reporter: Reporter) -> None:
    """Remove what a killed engine left half written."""
    result.discard_staging(run)
    left = checkpoint.discard_staging(run.checkpoints_dir)
    if left:
        reporter.warning("A checkpoint that was being written when the engine ended was thrown away.", left[0])


def find_start(run: Run, resume: bool, reporter: Reporter) -> Checkpoint | None:
    """The checkpoint to go on from; None for the beginning. Says which damaged ones it passed over.

    Raises UserError when the run has checkpoints and nobody asked to resume, or when it has finished.
    """
    clean_up(run, reporter)
    if not resume:
        steps = checkpoint.steps_on_disk(run.checkpoints_dir)
        if steps:
            fix = f"Go on with it: tunewright resume {run.name}. Or start a new run."
            raise UserError(f"The run has checkpoints already, up to step {steps[-1]}.", str(run.path), fix)
        return None
    search = checkpoint.find_verified(run.checkpoints_dir)
    for name, problem in search.damaged:
        reporter.warning(f"Checkpoint {name} is damaged and is not used.", problem, kind="damaged")
    if search.best is None:
        said = int(run.state().get("step") or 0)
        if said or search.damaged:
            reporter.event("rewind", durable=True, step=0, detail="No checkpoint verifies; the run begins again.")
            reporter.warning("No usable checkpoint is left, so the run begins again at step 0.", str(run.path))
        return None
    return search.best


def agreed_start(run: Run, resume: bool, engine: Engine) -> Checkpoint | None:
    """`find_start`, done by one of the processes of a run and told to the others. Raises UserError in that one."""
    world, found = engine.world, None
    if world.leads:
        found = find_start(run, resume, engine.reporter)
    told = world.tell({"path": str(found.path), "step": found.step} if found is not None else None)
    if world.leads or told is None:
        return found
    path = Path(told["path"])
    return Checkpoint(path, int(told["step"]), checkpoint.read_manifest(path)["facts"])


def go_on(found: Checkpoint, facts: dict[str, Any], reporter: Reporter) -> None:
    """Check that nothing changed that matters, and tell viewers that the steps after the checkpoint never were.

    Raises UserError with everything that changed.
    """
    for line in refuse_changed(found.facts, facts, str(found.path)):
        reporter.warning(f"{line} Results may differ a little.", "environment", kind="versions")
    detail = f"Going on from the checkpoint of step {found.step}."
    reporter.event("rewind", durable=True, step=found.step, detail=detail)
