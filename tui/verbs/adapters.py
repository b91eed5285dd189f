"""`tunewright adapters`: the adapters of all runs beside each other, how to serve one, and several made into one."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.machine.packages import require_training_packages
from engine.runs.store import list_runs, open_run
from tui.jobs import run_job
from tui.steps.words import gigabytes
from tui.verbs.output import fields, print_json, say, table, warn
from tui.verbs.places import root_of, run_of


def run(arguments: Namespace) -> int:
    """List, show one, or combine."""
    require_training_packages()
    if arguments.combine:
        result = run_job("adapters", _combination(arguments), _progress)
        lines = fields(
            {key: str(result[key]) for key in ("out", "base", "rank")} | {"size": gigabytes(result["bytes"])}
        )
    else:
        one = arguments.name and run_of(arguments)
        runs = [one] if one else list_runs(root_of(arguments))
        result = run_job("adapters", {"runs": [str(run.path) for run in runs]})
        lines = _one(result["adapters"], arguments.name) if arguments.name else _all(result["adapters"])
    if arguments.json:
        print_json(result)
    else:
        say(*lines)
    return 0


def _combination(arguments: Namespace) -> dict[str, Any]:
    """`--combine a b=0.5`: names of runs with weights; without one the weight is 1. Raises UserError."""
    weights: dict[str, float] = {}
    for text in arguments.combine:
        name, _, weight = text.partition("=")
        weights[str(open_run(name, root_of(arguments)).path)] = _weight(weight or "1")
    if not arguments.out:
        raise UserError("Say where the combined adapter goes.", "--out", "Give a folder: --out combined.")
    return {"combine": weights, "out": str(Path(arguments.out).expanduser().absolute())}


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -100 <= value <= 100:
        raise UserError(f"{text!r} is no weight.", "--combine", "Write it as NAME=0.5.")
    return value


def _progress(progress: Any) -> None:
    if isinstance(progress, Mapping):
        warn(": ".join(str(progress[key]) for key in ("phase", "detail") if progress.get(key)))


def _all(adapters: list[dict[str, Any]]) -> list[str]:
    """One line for each, with what was measured."""
    if not adapters:
        return ["No run has an adapter yet."]
    rows = [(each["run"], each["base"], each["method"], str(each["rank"]), gigabytes(each["bytes"]), _figure(each))
            for each in adapters]  # fmt: skip
    return table(("run", "base model", "method", "rank", "size", "measured"), rows, right=(3, 4))


def _figure(adapter: Mapping[str, Any]) -> str:
    measured = adapter.get("measured") or {}
    return (
        f"{measured['name'].replace('_', ' ')} {measured['value']:.4g}" if measured else "tunewright eval measures it"
    )


def _one(adapters: list[dict[str, Any]], name: str) -> list[str]:
    if not adapters:
        raise UserError(f"The run {name!r} has no adapter.", "adapters", "tunewright adapters lists those that have.")
    adapter = adapters[0]
    shown = {key: str(adapter[key]) for key in ("directory", "base", "method", "rank", "alpha", "steps")}
    shown |= {
        "targets": ", ".join(adapter["targets"]),
        "size": gigabytes(adapter["bytes"]),
        "measured": _figure(adapter),
    }
    return [*fields(shown), "", "To serve it:", *(f"  {shlex.join(command)}" for command in adapter["commands"])]
