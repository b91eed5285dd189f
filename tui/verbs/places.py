"""Which runs folder a verb means, and the run that its NAME names."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from engine.errors import UserError
from engine.places import runs_root
from engine.runs.store import Run, open_run


def root_of(arguments: Namespace) -> Path:
    """The folder with the runs: `--runs`, else the usual place."""
    return runs_root(arguments.runs or "")


def run_of(arguments: Namespace) -> Run:
    """The run that the person named. Raises UserError with the nearest names."""
    return open_run(arguments.name, root_of(arguments))


def check_checkpoint(run: Run, name: str | None) -> None:
    """UserError when the run has no checkpoint `name`; the ones that it has are named. None is its result."""
    if not name or (run.checkpoints_dir / name / "MANIFEST.json").is_file():
        return
    there = sorted(path.name for path in run.checkpoints_dir.glob("step-*"))
    fix = f"It has: {', '.join(there)}." if there else "Leave --checkpoint out: its result is used."
    raise UserError(f"Run {run.name} has no checkpoint {name}.", str(run.checkpoints_dir), fix)


def word_for(run: Run) -> str:
    """What a person types for this run."""
    return run.word
