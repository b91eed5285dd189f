"""`tunewright runs`: every run and what it is doing now."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from engine.errors import UserError
from engine.places import rescue_root
from engine.runs.liveness import liveness
from engine.runs.store import Run, list_runs
from tui.verbs.output import print_json, say, table
from tui.verbs.places import root_of

MODEL_LETTERS = 40
"""A longer path keeps its end, which tells models apart."""


def run(arguments: Namespace) -> int:
    """List the runs, the one that was written to last first."""
    root = root_of(arguments)
    found = [describe(one) for one in list_runs(root)]
    if arguments.json:
        print_json({"directory": str(root), "runs": found})
        return 0
    if not found:
        say(f"There are no runs in {root} yet. Start one: tunewright, or tunewright train --help.")
    else:
        head = ("name", "state", "step", "loss", "method", "model", "started")
        say(*table(head, [_row(one) for one in found], right=(2, 3)))
    for rescued in list_runs(rescue_root()):
        say(f"Saved when its folder was deleted: {rescued.path}. Go on with it: tunewright resume {rescued.path}")
    return 0


def describe(one: Run) -> dict[str, Any]:
    """A run with its live state, as `runs --json` shows it. A damaged recipe is told and hides no run."""
    state, now = one.state(), liveness(one)
    method = model = problem = ""
    try:
        recipe = one.recipe()
        method, model = recipe.method.name, recipe.model.source
    except UserError as error:
        problem = error.what
    numbers = ("step", "total_steps", "epoch", "loss", "eval_loss", "tokens_per_second", "elapsed_seconds",
               "eta_seconds", "started", "updated", "phase")  # fmt: skip
    return {"name": one.name, "path": str(one.path), "state": now.state, "detail": now.detail, "pid": now.pid,
            "method": method, "model": model, "problem": problem,
            **{key: state.get(key) for key in numbers}}  # fmt: skip


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    step = f"{one['step']}/{one['total_steps']}" if one["total_steps"] else ""
    loss = f"{one['loss']:.4f}" if isinstance(one["loss"], int | float) else str(one["loss"] or "")
    started = one["started"]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(started)) if isinstance(started, int | float) else ""
    model = one["model"] if len(one["model"]) <= MODEL_LETTERS else "..." + one["model"][3 - MODEL_LETTERS :]
    model = "(the recipe cannot be read)" if one["problem"] else model
    doing = f"{one['state']} ({one['phase']})" if one["pid"] and one["phase"] else one["state"]
    return one["name"], doing, step, loss, one["method"], model, when
