"""Runs whose engine was lost with the machine or killed, and how to go on with them."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError
from engine.runs.process import launch, liveness
from engine.runs.store import Run, list_runs

FRUITLESS_STARTS = 3
"""So many engines in a row that died before their first new step: another one would die too."""


def lost_runs(root: Path | None = None) -> list[Run]:
    """Runs below `root` that ended without a last word on this machine, the newest first."""
    return [run for run in list_runs(root) if liveness(run).state == "lost"]


def resume_lost(root: Path | None = None) -> list[tuple[Run, UserError | None]]:
    """Start an engine for each lost run; what went wrong stands beside the run. For machines that restart."""
    outcomes: list[tuple[Run, UserError | None]] = []
    for run in lost_runs(root):
        try:
            _refuse_when_hopeless(run)
            launch(run, resume=True)
            outcomes.append((run, None))
        except UserError as error:
            outcomes.append((run, error))
    return outcomes


def _refuse_when_hopeless(run: Run) -> None:
    starts = int(run.state().get("fruitless_starts") or 0)
    if starts >= FRUITLESS_STARTS:
        what = f"{starts} engines in a row were lost before their first new step, so no other one is started."
        fix = f"Look into {run.log_path}, then: tunewright resume {run.name}."
        raise UserError(what, run.name, fix, exit_code=1)
