"""Settings that only experts change, each in a real run: it learns, goes on exactly, and does what it says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from engine.data.prepare import load_examples
from engine.errors import UserError
from tests.engine.train import material
from tests.engine.train.carried import Carried, OnDemand, RunFactory, carry, copy_until

CASES: dict[str, dict[str, Any]] = {
    "dora": {"method__dora": True},
    "rslora": {"method__rslora": True},
    "layers": {"method__layers": "1"},
    "embeddings": {"method__train_embeddings": True, "training__learning_rate": 1e-3},
    "neftune": {"training__neftune_alpha": 5.0},
}

RARE = ("rslora", "neftune")
TRIED = [pytest.param(case, marks=pytest.mark.long) if case in RARE else case for case in CASES]


@pytest.fixture(scope="module")
def carried(make_run: RunFactory) -> dict[str, Carried]:
    return OnDemand(lambda case: make_run(f"expert-{case}", training__max_steps=8, **CASES[case]))


@pytest.fixture(scope="module")
def plain(make_run: RunFactory) -> Carried:
    return carry(make_run("expert-none", training__max_steps=8))


def adapter_config(done: Carried) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((done.run.result_dir / "adapter" / "adapter_config.json").read_text())
    return found


def adapter_names(done: Carried) -> list[str]:
    from safetensors import safe_open

    with safe_open(done.run.result_dir / "adapter" / "adapter_model.safetensors", "pt") as file:
        return list(file.keys())


@pytest.mark.parametrize("case", TRIED)
def test_it_learns_and_differs_from_plain_lora(carried: dict[str, Carried], plain: Carried, case: str) -> None:
    done = carried[case]
    assert done.code == 0, done.of("error")
    losses = [event["loss"] for event in done.of("step")]
    assert losses[-1] < losses[0]
    assert losses != [event["loss"] for event in plain.of("step")]


@pytest.mark.parametrize("case", TRIED)
def test_a_resumed_run_is_the_same_run(carried: dict[str, Carried], case: str) -> None:
    again = carry(copy_until(carried[case], f"resumed-expert-{case}", 4), resume=True)
    assert again.code == 0, again.of("error")
    assert again.steps == carried[case].steps
    assert again.weights() == carried[case].weights()


@pytest.mark.parametrize("case", TRIED)
def test_memory_stays_below_the_estimate(carried: dict[str, Carried], case: str) -> None:
    rehearsal = carried[case].of("rehearsal")[0]
    measured = rehearsal["allocated_bytes"] - rehearsal["baseline_bytes"]
    assert measured < rehearsal["estimate_bytes"] + (64 << 20)  # what Python itself takes moves by some ten MB


def test_the_adapter_is_what_was_asked_for(carried: dict[str, Carried]) -> None:
    assert adapter_config(carried["dora"])["use_dora"] is True
    assert any("lora_magnitude_vector" in name for name in adapter_names(carried["dora"]))
    assert all(".layers.1." in name for name in adapter_names(carried["layers"]))
    assert any("embed_tokens" in name for name in adapter_names(carried["embeddings"]))


def test_trained_embeddings_stay_shared_with_the_head(carried: dict[str, Carried]) -> None:
    from safetensors.torch import load_file

    weights = load_file(carried["embeddings"].run.result_dir / "adapter" / "adapter_model.safetensors")
    tables = [weight for name, weight in weights.items() if "embed_tokens" in name or "lm_head" in name]
    base = load_file(Path(carried["embeddings"].run.recipe().model.source) / "model.safetensors")
    assert all(bool((table == tables[0]).all()) for table in tables)
    assert not bool((tables[0] == base["model.embed_tokens.weight"]).all())


def test_a_layer_that_is_not_there_is_said(make_run: RunFactory) -> None:
    refused = carry(make_run("expert-refused", method__layers="0-7"))
    assert refused.code == 2
    assert "layers 0 to 1" in refused.of("error")[-1]["what"]


def test_a_run_ends_when_it_gets_no_better(make_run: RunFactory) -> None:
    """A rate of nearly nothing after a high one: the second and third evaluations bring nothing new."""
    changes = {"training__learning_rate": 0.3, "evaluation__every_steps": 2, "evaluation__patience": 2,
               "checkpoints__every_steps": 100, "training__max_steps": 40, "training__epochs": 50.0}  # fmt: skip
    done = carry(make_run("patience", **changes))
    assert done.code == 0
    evaluations = [(event["step"], event["loss"]) for event in done.of("eval")]
    best = min(evaluations, key=lambda pair: pair[1])
    assert len(evaluations) == evaluations.index(best) + 3
    assert done.of("end")[-1]["reason"] == "finished"
    facts = json.loads((done.run.result_dir / "result.json").read_text())
    assert facts["steps"] == best[0]
    assert facts["complete"] and facts["ended_early"]
    assert any(event.get("kind") == "patience" for event in done.of("warning"))


def test_patience_is_kept_over_a_resume(make_run: RunFactory) -> None:
    changes = {"training__learning_rate": 0.3, "evaluation__every_steps": 2, "evaluation__patience": 3,
               "checkpoints__every_steps": 2, "training__max_steps": 40, "training__epochs": 50.0}  # fmt: skip
    whole = carry(make_run("patience-whole", **changes))
    last = whole.of("step")[-1]["step"]
    again = carry(copy_until(whole, "patience-resumed", last - 2), resume=True)
    assert again.of("step")[-1]["step"] == last
    assert (
        json.loads((again.run.result_dir / "result.json").read_text())["steps"]
        == json.loads((whole.run.result_dir / "result.json").read_text())["steps"]
    )


def test_sources_are_mixed_by_their_weights(make_run: RunFactory, tiny_model: Path, tmp_path: Path) -> None:
    more = material.write_rows(tmp_path / "more.jsonl")
    text = more.read_text().replace("I want", "Please bring")
    more.write_text(text)
    run = make_run("mixed", data__more=[f"{more} * 0.5", f"{more}"], training__max_steps=2)
    prepared = load_examples(run.recipe(), tiny_model)
    prepared.renderer.close()
    asked = [example.turns[0].content for example in prepared.train_examples]
    ours = sum(question.startswith("I want") for question in asked)
    theirs = sum(question.startswith("Please bring") for question in asked)
    held = [example.turns[0].content for example in prepared.held_out_examples]
    assert not set(asked) & set(held), "a row of two sources must not stand on both sides"
    assert ours + sum(question.startswith("I want") for question in held) == 60
    halves = 60 - sum(question.startswith("Please") for question in held) / 2
    assert math.isclose(theirs, 1.5 * halves, abs_tol=2)
    assert carry(run).code == 0


@pytest.mark.parametrize("text", ["more.jsonl * 0", "more.jsonl * x", "* 2", "more.jsonl * 1000"])
def test_a_weight_that_is_none_is_said(make_run: RunFactory, tiny_model: Path, text: str) -> None:
    recipe = make_run(f"mix-{abs(hash(text))}").recipe()
    with pytest.raises(UserError):
        load_examples(recipe.changed({"data.more": [text]}, "you", ""), tiny_model)


def test_activations_are_offloaded_from_a_gpu_only(make_run: RunFactory) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    refused = carry(make_run("offloading", training__activation_offloading=True))
    assert refused.code == 2
    assert "offloaded" in refused.of("error")[-1]["what"]
    from engine.train.arguments import refuse_offloading

    for objective in ("orpo", "classify"):  # TRL's settings for them do not have it, so it would be left out in silence
        recipe = make_run(f"offloading-{objective}", training__activation_offloading=True, method__objective=objective)
        with pytest.raises(UserError, match="does not offload"):
            refuse_offloading(recipe.recipe(), torch.device("cuda"))


@pytest.mark.parametrize(
    "optimizer",
    [*(pytest.param(name, marks=pytest.mark.long) for name in ("adamw_torch", "paged_adamw_8bit")), "adamw_8bit"],
)
def test_other_optimizers_learn_and_go_on_exactly(make_run: RunFactory, optimizer: str) -> None:
    whole = carry(make_run(f"optimizer-{optimizer}", training__optimizer=optimizer, training__max_steps=8))
    assert whole.code == 0, whole.of("error")
    losses = [event["loss"] for event in whole.of("step")]
    assert losses[-1] < losses[0]
    again = carry(copy_until(whole, f"optimizer-{optimizer}-again", 4), resume=True)
    assert again.steps == whole.steps
    assert again.weights() == whole.weights()


def test_the_rehearsal_recomputes_activations_like_training(
    make_run: RunFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers switches gradient checkpointing on when training begins, which is after the rehearsal."""
    seen: list[bool] = []

    def look(session: Any, trainer: Any, *_: Any) -> None:
        layers = trainer.model.get_base_model().model.layers
        seen.extend(bool(layer.gradient_checkpointing) for layer in layers)

    monkeypatch.setattr("engine.train.phases.rehearse", look)
    run = make_run("recomputed", training__gradient_checkpointing=True, training__max_steps=1)
    assert carry(run).code == 0
    assert seen == [True, True]
