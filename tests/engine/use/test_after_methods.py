"""What comes after a run works from every objective and every kind of adapter: evaluate, merge, chat, script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.runs.store import Run
from engine.use.evaluate import evaluate_run
from engine.use.export import export_run
from tests.engine.train import material
from tests.engine.train.carried import Carried, OnDemand
from tests.engine.train.test_train_preference import write_judged, write_pairs

pytestmark = pytest.mark.xdist_group("torch-use")

CASES: dict[str, dict[str, Any]] = {
    "dpo": {"method__objective": "dpo"}, "kto": {"method__objective": "kto"}, "orpo": {"method__objective": "orpo"},
    "dpo-full": {"method__objective": "dpo", "method__name": "full", "training__learning_rate": 1e-3},
    "dora": {"method__dora": True}, "rslora": {"method__rslora": True}, "layers": {"method__layers": "0"},
    "embeddings": {"method__train_embeddings": True},
}  # fmt: skip

RARE = ("orpo", "dpo-full", "rslora", "kto")
TRIED = [pytest.param(case, marks=pytest.mark.long) if case in RARE else case for case in CASES]


def quiet(_: dict[str, Any]) -> None:
    return None


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Carried]:
    root = tmp_path_factory.mktemp("after")
    model = material.write_model(root / "model")
    files = {"sft": material.write_rows(root / "rows.jsonl"), "kto": write_judged(root / "judged.jsonl")}
    files["dpo"] = files["orpo"] = write_pairs(root / "pairs.jsonl")

    def make(case: str) -> Run:
        changes = {"training__max_steps": 4, "method__dropout": 0.0, **CASES[case]}
        return material.make_run(root / "runs", case, model, files[changes.get("method__objective", "sft")], **changes)

    return OnDemand(make)


@pytest.mark.parametrize("case", TRIED)
def test_a_merge_answers_as_what_was_trained(runs: dict[str, Carried], case: str, tmp_path: Path) -> None:
    reply = export_run(runs[case].run.path, "merged", tmp_path / "merged", quiet, dtype="fp32")
    assert reply["agreement"]["largest_difference"] < 1e-4 * max(1.0, reply["agreement"]["largest_logit"])
    in_memory = any("in memory" in note for note in reply["notes"])
    assert in_memory == (case == "dora"), "only DoRA is no plain product of two matrices"


@pytest.mark.parametrize(
    "case", ["kto", pytest.param("dpo", marks=pytest.mark.long), pytest.param("embeddings", marks=pytest.mark.long)]
)
def test_held_out_rows_are_evaluated(runs: dict[str, Carried], case: str) -> None:
    document = evaluate_run(runs[case].run.path, quiet)
    assert document["sides"]["tuned"]["loss"] > 0
    assert document["differences"]["loss"]
    if case == "kto":
        asked = [example["expected"] for example in document["sides"]["tuned"]["examples"]]
        assert asked and not any("I do not know" in expected for expected in asked)


SCRIPTS = {
    "dpo": {"method__objective": "dpo"}, "dpo-qlora": {"method__objective": "dpo", "method__name": "qlora"},
    "dpo-beside": {"method__objective": "dpo", "method__name": "full"},
    "dpo-before": {"method__objective": "dpo", "method__name": "full", "method__reference": "precomputed"},
    "kto": {"method__objective": "kto"},
    "kto-before": {"method__objective": "kto", "method__name": "full", "method__reference": "precomputed"},
    "orpo": {"method__objective": "orpo"}, "orpo-full": {"method__objective": "orpo", "method__name": "full"},
    "labels": {"method__objective": "classify", "data__format": "classification"},
    "labels-full": {"method__objective": "classify", "data__format": "classification", "method__name": "full"},
}  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Carried]:
    """Runs of several micro-batches a step, all of them full."""
    root = tmp_path_factory.mktemp("scripts")
    model = material.write_model(root / "model")
    named = [{"text": f"I want {n} {material.THINGS[n % 3]}.", "label": material.THINGS[n % 3]} for n in range(40)]
    (root / "named.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    files = {"kto": write_judged(root / "judged.jsonl"), "classify": root / "named.jsonl"}
    files["dpo"] = files["orpo"] = write_pairs(root / "pairs.jsonl")

    def make(case: str) -> Run:
        usual = {"training__max_steps": 5, "training__micro_batch_size": 4, "training__gradient_accumulation_steps": 2,
                 "evaluation__held_out_rows": 8, "training__epochs": 9.0, "method__dropout": 0.0,
                 "training__learning_rate": 1e-3}  # fmt: skip
        changes = {**usual, **SCRIPTS[case]}
        return material.make_run(root / "runs", case, model, files[str(changes["method__objective"])], **changes)

    return OnDemand(make)


@pytest.mark.parametrize(
    "case", [case if case == "kto" else pytest.param(case, marks=pytest.mark.long) for case in SCRIPTS]
)
def test_the_script_of_preferences_and_labels_gives_the_same_losses(
    compared: dict[str, Carried], case: str, tmp_path: Path
) -> None:
    reply = export_run(compared[case].run.path, "script", tmp_path / "script", quiet)
    assert (reply["rows"], reply["held_out"], reply["rows_as_ids"]) == (32, 8, 0)
    theirs = losses_of(Path(reply["out"]))
    ours = [event["loss"] for event in compared[case].of("step")]
    assert len(ours) == 5 and theirs == pytest.approx(ours, rel=1e-5), "the second epoch has an order of its own"
    assert ours[-1] != pytest.approx(ours[0], rel=1e-3)


def losses_of(folder: Path) -> list[float]:
    """Carry the script out alone; the loss of every step."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "train.py"], env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    history = json.loads((folder / "output" / "losses.json").read_text())
    return [entry["loss"] for entry in history if "loss" in entry]


def test_the_script_of_an_experts_run_holds_its_settings(runs: dict[str, Carried], tmp_path: Path) -> None:
    out = Path(export_run(runs["layers"].run.path, "script", tmp_path / "script", quiet)["out"])
    text = (out / "train.py").read_text()
    assert "LAYERS = '0'" in text
    compile(text, "train.py", "exec")


def test_the_result_says_how_it_was_made(runs: dict[str, Carried]) -> None:
    facts = json.loads((runs["dpo"].run.result_dir / "result.json").read_text())
    assert facts["objective"] == "dpo"


@pytest.mark.long
@pytest.mark.parametrize("case", ["layers", "embeddings", "dora", "rslora"])
def test_the_script_of_an_experts_run_gives_the_same_losses(
    runs: dict[str, Carried], case: str, tmp_path: Path
) -> None:
    out = Path(export_run(runs[case].run.path, "script", tmp_path / "script", quiet)["out"])
    theirs = losses_of(out)
    ours = [event["loss"] for event in runs[case].of("step")]
    assert theirs == pytest.approx(ours, rel=1e-4)
