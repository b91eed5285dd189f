"""After a classification with a real head: measured, merged, and refused where text is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.use.chat import Chat
from engine.use.evaluate import evaluate_run
from engine.use.export import export_run
from tests.engine.train import material
from tests.engine.train.carried import Carried, OnDemand

pytestmark = pytest.mark.xdist_group("torch-use")
torch = pytest.importorskip("torch")


def quiet(_: dict[str, Any]) -> None:
    return None


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Carried]:
    root = tmp_path_factory.mktemp("classified")
    model, path = material.write_model(root / "model"), root / "labelled.jsonl"
    rows = [{"text": f"I want {n % 7} {material.COLORS[n % 6]} {material.THINGS[n % 3]}.",
             "label": material.THINGS[n % 3]} for n in range(120)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(method: str) -> Any:
        usual = {"method__objective": "classify", "data__format": "classification", "training__max_steps": 30,
                 "evaluation__held_out_rows": 18, "method__dropout": 0.0, "method__name": method}  # fmt: skip
        rate = {"training__learning_rate": 2e-3} if method == "full" else {}
        return material.make_run(root / "runs", method, model, path, **usual, **rate)

    return OnDemand(make)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_it_is_measured_against_the_commonest_label(runs: dict[str, Carried], method: str) -> None:
    document = evaluate_run(runs[method].run.path, quiet)
    base, tuned = document["sides"]["base"], document["sides"]["tuned"]
    assert document["task"] == "classification" and document["baseline"]
    assert tuned["accuracy"]["value"] > base["accuracy"]["value"] and tuned["loss"] < base["loss"]
    last = runs[method].of("eval")[-1]
    assert tuned["loss"] == pytest.approx(last["loss"], rel=1e-4)
    assert tuned["accuracy"]["value"] == pytest.approx(last["right_labels"])
    assert any("per row" in sentence for sentence in document["sentences"])


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_a_merged_classifier_answers_as_what_was_trained(runs: dict[str, Carried], method: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from engine.use.classifier import load_classifier, log_probabilities
    from engine.use.finished import open_result

    reply = export_run(runs[method].run.path, "merged", tmp_path / "merged", quiet, dtype="fp32")
    result = open_result(runs[method].run.path)
    merged = AutoModelForSequenceClassification.from_pretrained(reply["out"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(reply["out"])
    assert [merged.config.id2label[number] for number in range(3)] == list(result.labels)
    rows = [tokenizer(f"I want 3 red {thing}.")["input_ids"] for thing in material.THINGS[:3]]
    here, there = (log_probabilities(model, rows, tokenizer.pad_token_id, lambda *_: None)
                   for model in (load_classifier(result, "cpu"), merged))  # fmt: skip
    assert float((here - there).abs().max()) < (0.05 if method == "qlora" else 1e-4)


def test_what_needs_text_is_refused(runs: dict[str, Carried], tmp_path: Path) -> None:
    run = runs["lora"].run
    for act in (lambda: Chat(run.path), lambda: export_run(run.path, "ollama", tmp_path / "o", quiet),
                lambda: export_run(run.path, "gguf", tmp_path / "g", quiet)):  # fmt: skip
        with pytest.raises(UserError, match="writes no text") as caught:
            act()
        assert "--to merged" in caught.value.fix


def test_its_script_knows_the_labels_and_reads_questions_only(runs: dict[str, Carried], tmp_path: Path) -> None:
    """That it gives the same losses is tested in test_after_methods.py."""
    out = Path(export_run(runs["lora"].run.path, "script", tmp_path / "s", quiet)["out"])
    text = (out / "train.py").read_text()
    compile(text, "train.py", "exec")
    first = json.loads((out / "rows.jsonl").read_text().splitlines()[0])
    assert set(first) == {"text", "label"} and f"{first['label']!r}" in text
    assert "AutoModelForSequenceClassification" in text and "@" not in text.replace("@staticmethod", "")
