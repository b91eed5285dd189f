"""Preferences and classification by two processes against one, on real rows: part of "Several GPUs and machines".

    python -m tests.bench.sharing FOLDER_OF_A_MODEL FOLDER_OF_DATASETS [dpo kto orpo classify]

The model is stories260K. Each run goes the road of `tunewright train` (with two processes: launcher, torchrun's agent,
two ranks over gloo). Printed is the largest difference over all steps and evaluations, and of the final weights.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from engine.models.find import find_model
from engine.plan.learning_rate import learning_rate
from engine.recipe import Answer, Recipe
from engine.runs.events import iterate_events
from engine.runs.liveness import liveness
from engine.runs.process import launch
from engine.runs.store import Run, create_run
from tests.bench.methods import COMMON, usable_rows

STEPS = 12
SHARED = {**COMMON, "training.max_steps": STEPS, "training.epochs": 9.0, "training.micro_batch_size": 3,
          "training.gradient_accumulation_steps": 4, "evaluation.held_out_rows": 20, "evaluation.every_steps": 4,
          "method.dropout": 0.0}  # fmt: skip
RELATIVE, ABSOLUTE = ("loss", "grad_norm"), ("margin", "accuracy", "kl", "right_labels", "macro_f1")
SAME = ("step", "lr", "tokens", "trained_tokens", "rows")


def carry(folder: Path, name: str, values: dict[str, Any]) -> Run:
    """A run that was carried out in the background, waited for."""
    recipe = Recipe.from_answers({key: Answer(value, "you", "measured") for key, value in values.items()})
    run = create_run(recipe, folder, name)
    launch(run)
    while liveness(run).alive:
        time.sleep(0.2)
    assert run.state()["stop_reason"] == "finished", run.log_path.read_text()[-2000:]
    return run


def events(run: Run, kind: str) -> list[dict[str, Any]]:
    return [event for event in iterate_events(run.events_path) if event["type"] == kind]


def differences(one: Iterable[dict[str, Any]], two: Iterable[dict[str, Any]]) -> dict[str, float]:
    """The largest of each value. Raises AssertionError where what is counted is not the same."""
    found: dict[str, float] = {}
    for mine, theirs in zip(one, two, strict=True):
        assert [mine.get(name) for name in SAME] == [theirs.get(name) for name in SAME]
        for name in (*RELATIVE, *ABSOLUTE):
            assert (name in mine) == (name in theirs)
            if name in mine:
                scale = abs(mine[name]) if name in RELATIVE else 1.0
                found[name] = max(found.get(name, 0.0), abs(mine[name] - theirs[name]) / scale)
    return found


def compare(name: str, one: Run, two: Run) -> None:
    kinds = {kind: differences(events(one, kind), events(two, kind)) for kind in ("step", "eval")}
    weights = [load_file(next(run.result_dir.glob("*/*model.safetensors"))) for run in (one, two)]
    furthest = max(float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0])
    said = "; ".join(f"{kind}: " + ", ".join(f"{key} {value:.1e}" for key, value in found.items())
                     for kind, found in kinds.items())  # fmt: skip
    seconds = [sum(event["seconds"] for event in events(run, "step")) for run in (one, two)]
    print(
        f"{name}: {said}; weights {furthest:.1e}; {STEPS} steps in {seconds[0]:.1f} and {seconds[1]:.1f} s", flush=True
    )


def rows_for(objective: str, model: Path, datasets: Path, work: Path) -> dict[str, Any]:
    """Where the rows of an objective are, and their format."""
    if objective == "classify":
        source = datasets / "classification" / "sms_spam_kaggle.csv"
        rows = source.read_text(encoding="cp1252").splitlines(keepends=True)[:143]
        (work / "sms.csv").write_text("".join(rows))
        return {"data.source": str(work / "sms.csv"), "data.format": "classification"}
    kind = "kto" if objective == "kto" else "preference"
    source = datasets / kind / ("kto_en_demo.json" if kind == "kto" else "dpo_en_demo.json")
    usable_rows(model, source, kind, work / f"{kind}.jsonl")
    return {"data.source": str(work / f"{kind}.jsonl"), "data.format": kind}


def main() -> None:
    model, datasets = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        for objective in sys.argv[3:] or ("dpo", "kto", "orpo", "classify"):
            rows = rows_for(objective, model, datasets, Path(folder))
            for method in ("lora", "full"):
                rate = learning_rate(find_model(str(model), "").spec, method, objective).value
                values = {**SHARED, **rows, "model.source": str(model), "method.objective": objective,
                          "method.name": method, "training.learning_rate": rate}  # fmt: skip
                runs = [carry(Path(folder), f"{objective}-{method}-{count}", {**values, "training.devices": count})
                        for count in (1, 2)]  # fmt: skip
                compare(f"{objective} {method}", *runs)


if __name__ == "__main__":
    main()
