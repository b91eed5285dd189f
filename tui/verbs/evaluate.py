"""`tunewright eval`: base and tuned on rows that were not trained on."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from engine.machine.packages import require_training_packages
from engine.runs.store import Run
from tui.jobs import run_job
from tui.screens.evaluation_text import sections
from tui.verbs.output import print_json, say, warn
from tui.verbs.places import check_checkpoint, run_of


def run(arguments: Namespace) -> int:
    """Measure and say it."""
    require_training_packages()
    measured = run_of(arguments)
    check_checkpoint(measured, arguments.checkpoint)
    warn("Evaluating. This loads the model and answers every row with base and tuned.")
    result = evaluate(measured, arguments.rows, arguments.checkpoint or "")
    if arguments.json:
        print_json(result)
    else:
        for section in sections(result):
            say(section.title, *section.lines, "")
    return 0


def evaluate(run: Run, rows: int = 0, checkpoint: str = "") -> dict[str, Any]:
    """The result of the job "evaluate". Raises UserError."""
    return run_job(
        "evaluate", {"run": str(run.path), "rows": rows, **({"checkpoint": checkpoint} if checkpoint else {})}
    )
