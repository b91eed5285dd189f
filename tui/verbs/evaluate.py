"""`tunewright eval`: base and tuned on rows that were not trained on."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from engine.machine.packages import require_training_packages
from engine.runs.store import Run
from tui.jobs import run_job
from tui.steps.words import plural
from tui.verbs.output import print_json, say, table, warn
from tui.verbs.places import run_of

MEASURES = {
    "loss": "loss", "perplexity": "perplexity", "valid": "valid JSON", "exact_match": "exact match",
    "accuracy": "right label", "known_label": "one of the labels", "macro_f1": "macro F1",
}  # fmt: skip
"""Key in the result -> its words, in the order in which they are shown; what a result lacks is left out."""


def run(arguments: Namespace) -> int:
    """Measure and say it."""
    require_training_packages()
    measured = run_of(arguments)
    warn("Evaluating. This loads the model and answers every row with base and tuned.")
    result = evaluate(measured, arguments.rows)
    if arguments.json:
        print_json(result)
    else:
        say(*comparison(result))
    return 0


def evaluate(run: Run, rows: int = 0) -> dict[str, Any]:
    """The result of the job "evaluate". Raises UserError."""
    return run_job("evaluate", {"run": str(run.path), "rows": rows})


def comparison(result: Mapping[str, Any]) -> list[str]:
    """Base and tuned beside each other, a line for each measure."""
    base, tuned = (result["sides"][side] for side in ("base", "tuned"))
    rows = [(words, _figure(base.get(key)), _figure(tuned.get(key))) for key, words in MEASURES.items() if key in tuned]
    head = f"On {plural(int(result['rows']), 'row')} that were held out of training:"
    return [head, *table(("", "base", "tuned"), rows, right=(1, 2))]


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['value']:.1%} ({value['hits']} of {value['count']})"
    return f"{value:.4g}" if isinstance(value, int | float) else str(value or "")
