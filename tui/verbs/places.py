"""Which runs folder a verb means, and the run that its NAME names."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from engine.runs.store import Run, open_run, runs_root


def root_of(arguments: Namespace) -> Path:
    """The folder with the runs: `--runs`, else the usual place."""
    return runs_root(arguments.runs or "")


def run_of(arguments: Namespace) -> Run:
    """The run that the person named. Raises UserError with the nearest names."""
    return open_run(arguments.name, root_of(arguments))


def word_for(run: Run) -> str:
    """What a person types for this run."""
    return run.word
