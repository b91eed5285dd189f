"""What the planner makes of preferences, raw text and experts' settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import UserError
from engine.machine.detect import Machine
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan.adapters import chosen_layers
from engine.plan.memory import TrainingShape, estimate_memory
from engine.plan.preference import work_factor
from engine.plan.recommend import recommend
from engine.plan.simulate import shape_of
from engine.plan.weights import trainable_parameters
from engine.recipe import Answer

Build = Callable[..., Machine]
Model = Callable[[str], ModelFiles]
LORA = TrainingShape("lora", 4, 512)
FULL = TrainingShape("full", 4, 512)


@pytest.mark.parametrize(
    ("name", "objective"), [("preference", "dpo"), ("kto", "kto"), ("instruction", "sft"), ("text", "sft")]
)
def test_the_format_decides_the_objective(model: Model, machine: Build, facts: Any, name: str, objective: str) -> None:
    for plan in recommend(machine(24), model("qwen2.5-0.5b"), facts(format=name)).methods:
        assert plan.value("method.objective") == objective
        assert plan.answers["method.objective"].reason
        assert plan.shape is not None and plan.shape.objective == objective


def test_comparing_takes_smaller_steps_and_fewer_passes(model: Model, machine: Build, facts: Any) -> None:
    def plan(name: str) -> Any:
        return recommend(machine(80), model("llama-3-8b"), facts(format=name)).method("lora")

    assert plan("preference").value("training.learning_rate") == pytest.approx(5e-6)
    assert plan("instruction").value("training.learning_rate") == pytest.approx(2e-4)
    assert plan("preference").value("training.epochs") < plan("instruction").value("training.epochs")
    text = plan("text")
    assert text.value("training.learning_rate") == pytest.approx(5e-5)
    assert text.value("training.warmup_ratio") == 0.1
    assert text.value("training.scheduler") == "cosine"


def test_the_reference_is_computed_before_when_two_models_do_not_fit(model: Model, machine: Build, facts: Any) -> None:
    data = facts(format="preference")
    wide = recommend(machine(80), model("qwen2.5-0.5b"), data).method("full")
    assert wide.value("method.reference") == "beside"
    beside = {"method.reference": Answer("beside", "you", "")}
    for vram in range(4, 40):
        plan = recommend(machine(vram), model("qwen2.5-0.5b"), data).method("full")
        forced = recommend(machine(vram), model("qwen2.5-0.5b"), data, overrides=beside).method("full")
        if plan.value("method.reference") == "precomputed" and plan.fits:
            assert "would not fit" in plan.answers["method.reference"].reason
            optimizer = plan.value("training.optimizer")
            assert not forced.fits or forced.value("training.optimizer") != optimizer
            return
    pytest.fail("no size of GPU at which only the precomputed reference fits")


def test_kto_has_two_rows_at_once_on_the_smallest_gpu_too(model: Model, machine: Build, facts: Any) -> None:
    for vram in (2, 4, 80):
        for plan in recommend(machine(vram), model("qwen2.5-0.5b"), facts(format="kto", rows=60)).methods:
            assert plan.value("training.micro_batch_size") >= 2


@pytest.mark.parametrize("objective", ["dpo", "kto", "orpo"])
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_comparing_needs_more_than_writing(spec: Callable[[str], ModelSpec], objective: str, device: Any) -> None:
    for plain in (LORA, FULL, replace(LORA, gradient_checkpointing=False), replace(LORA, method="qlora")):
        compared = estimate_memory(spec("qwen2.5-0.5b"), replace(plain, objective=objective), device)
        alone = estimate_memory(spec("qwen2.5-0.5b"), plain, device)
        same = objective == "kto" and plain.method != "full"  # as many rows, and the base itself is the reference
        assert compared.total_bytes >= alone.total_bytes if same else compared.total_bytes > alone.total_bytes
        assert sum(compared.parts.values()) == compared.total_bytes
        assert compared.exact == (objective != "orpo" and alone.exact)
        assert work_factor(replace(plain, objective=objective)) > 1.3


def test_a_second_model_is_counted_where_one_is_held(spec: Callable[[str], ModelSpec]) -> None:
    sizes = spec("qwen2.5-0.5b")
    beside = estimate_memory(sizes, replace(FULL, objective="dpo"))
    before = estimate_memory(sizes, replace(FULL, objective="dpo", reference="precomputed"))
    assert beside.total_bytes - before.total_bytes >= 2 * sizes.parameters
    adapter = estimate_memory(sizes, replace(LORA, objective="dpo"))
    assert "reference" not in adapter.parts, "the base with the adapter off"


def test_experts_settings_are_counted(spec: Callable[[str], ModelSpec]) -> None:
    sizes = spec("llama-3-8b")
    plain = estimate_memory(sizes, LORA).total_bytes
    table = sizes.vocab_size * sizes.hidden_size
    words = replace(LORA, train_embeddings=True)
    assert trainable_parameters(sizes, words) == trainable_parameters(sizes, LORA) + 2 * table
    # a copy, a gradient and two moments in fp32 of both tables, at least
    assert estimate_memory(sizes, words).total_bytes - plain >= 16 * 2 * table
    assert estimate_memory(sizes, replace(LORA, dora=True)).total_bytes > plain
    few = replace(LORA, layers="28-31")
    assert trainable_parameters(sizes, few) == trainable_parameters(sizes, LORA) // 8
    assert estimate_memory(sizes, few).total_bytes < plain


def test_layers_are_read_as_people_write_them() -> None:
    assert chosen_layers("", 4) == []
    assert chosen_layers("0-2, 5", 8) == [0, 1, 2, 5]
    for text in ("x", "1-", "-3", "1;2", "9"):
        with pytest.raises(UserError):
            chosen_layers(text, 8)


def test_a_plan_of_an_older_version_is_still_simulated(model: Model, machine: Build, facts: Any) -> None:
    plan = recommend(machine(24), model("tiny"), facts(format="preference")).method("lora")
    settings = {key: answer.value for key, answer in plan.answers.items()}
    assert shape_of(settings).objective == "dpo"
    older = {key: value for key, value in settings.items() if key not in ("method.objective", "method.reference")}
    assert shape_of(older).objective == "sft"
