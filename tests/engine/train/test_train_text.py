"""Continued pre-training on raw text: perplexity falls, packs isolate documents, and what is forgotten is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.data.prepare import load_examples
from engine.errors import UserError
from engine.runs.store import Run
from tests.engine.train.carried import RunFactory, carry, copy_until


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    learned = [{"text": " ".join(f"the {word} of the house is {word}." for word in ("red", "blue", "old", "new"))
                + f" It has {number} rooms." * 6} for number in range(40)]  # fmt: skip
    other = [{"text": f"Someone walked {number} miles and then slept. " * 5} for number in range(20)]
    for name, rows in (("learned", learned), ("other", other)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def make(make_run: RunFactory, texts: Path) -> RunFactory:
    def run(name: str, **changes: Any) -> Run:
        usual = {"data__source": str(texts / "learned.jsonl"), "data__format": "text", "training__max_steps": 8,
                 "evaluation__general": str(texts / "other.jsonl"), "training__sequence_length": 64}  # fmt: skip
        return make_run(name, **{**usual, **changes})

    return run


def test_perplexity_falls_and_forgetting_is_measured(make: RunFactory) -> None:
    done = carry(make("text", method__train_embeddings=True))
    assert done.code == 0, done.of("error")
    evaluations = done.of("eval")
    assert evaluations[-1]["perplexity"] < evaluations[0]["perplexity"]
    starts = {event["general_start"] for event in evaluations}
    assert len(starts) == 1
    assert all(event["general_loss"] != event["general_start"] for event in evaluations)


def test_the_start_is_what_the_untrained_model_says_also_after_a_resume(make: RunFactory) -> None:
    whole = carry(make("text-whole"))
    again = carry(copy_until(whole, "text-again", 4), resume=True)
    kept = [(event["step"], event["general_start"], event["general_loss"]) for event in whole.of("eval")]
    resumed = [(event["step"], event["general_start"], event["general_loss"]) for event in again.of("eval")]
    assert resumed[-1] == kept[-1]
    assert again.steps == whole.steps  # measuring changes nothing
    blind = carry(make("text-blind", evaluation__general=""))
    assert blind.steps == whole.steps
    assert blind.weights() == whole.weights()


def test_much_forgetting_is_a_warning(make: RunFactory, texts: Path) -> None:
    learned = carry(make("text-base", data__source=str(texts / "other.jsonl"), method__name="full",
                         training__learning_rate=5e-3, training__max_steps=30, training__epochs=20.0,
                         evaluation__every_steps=30))  # fmt: skip
    base = learned.run.result_dir / "model"
    done = carry(make("text-forgets", model__source=str(base), method__name="full", training__learning_rate=5e-3,
                      training__max_steps=20, training__epochs=20.0))  # fmt: skip
    said = [event for event in done.of("warning") if event.get("kind") == "forgetting"]
    assert len(said) == 1
    assert "perplexity of the general text rose" in said[0]["what"]


def test_packs_of_texts_learn_what_the_texts_hold(make: RunFactory) -> None:
    done = carry(make("text-packed", training__packing=True, training__micro_batch_size=2))
    assert done.code == 0
    tokens = {event["trained_tokens"] for event in done.of("step")}
    assert max(tokens) > 0
    assert done.of("eval")[-1]["loss"] < done.of("eval")[0]["loss"]


def test_without_a_general_text_it_is_recommended(make: RunFactory, tiny_model: Path) -> None:
    prepared = load_examples(make("text-alone", evaluation__general="").recipe(), tiny_model)
    prepared.renderer.close()
    assert any("forget" in note for note in prepared.notes)
    assert prepared.general == []


def test_a_general_text_that_is_not_there_is_said(make: RunFactory, tiny_model: Path) -> None:
    with pytest.raises(UserError):
        load_examples(make("text-missing", evaluation__general="/nowhere.txt").recipe(), tiny_model)
