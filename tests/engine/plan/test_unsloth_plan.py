"""Unsloth in a plan: recommended with its reason only where it is known to help and its environment is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.machine.detect import Machine
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan import unsloth
from engine.plan.budget import host_memory_bytes
from engine.plan.memory import TrainingShape, estimate_memory
from engine.plan.plan import MethodPlan
from engine.plan.recommend import recommend
from engine.recipe import Answer
from engine.runs.unsloth_place import VARIABLE

Build = Callable[..., Machine]
Model = Callable[[str], ModelFiles]
LONG = {"training.sequence_length": Answer(8192, "you", ""), "training.micro_batch_size": Answer(4, "you", "")}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of Unsloth, as far as a plan looks."""
    python = tmp_path / "python"
    python.touch()
    monkeypatch.setenv(VARIABLE, str(python))
    return python


@pytest.fixture
def absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))


def lora(machine: Machine, model: ModelFiles, facts: Any, **more: Any) -> MethodPlan:
    return recommend(machine, model, facts(longest=8192, p99=8192, p95=8000), overrides=LONG | more).method("lora")


def only_with_unsloth(machine: Build, model: ModelFiles, facts: Any) -> tuple[Machine, MethodPlan]:
    """The smallest whole size of a GPU at which plain TRL does not fit and Unsloth does."""
    backend = {"method.backend": Answer("trl", "you", "")}
    for vram in range(12, 60):
        found = lora(machine(vram), model, facts)
        if found.fits and not lora(machine(vram), model, facts, **backend).fits:
            return machine(vram), found
    raise AssertionError("no size of GPU at which only Unsloth fits")


def test_it_is_recommended_where_plain_trl_does_not_fit(model: Model, machine: Build, facts: Any, made: Path) -> None:
    here, found = only_with_unsloth(machine, model("llama-3-8b"), facts)
    answer = found.answers["method.backend"]
    assert answer.value == "unsloth" and answer.source == "recommended"
    for words in ("does not fit", "by formula, not measured here", "rehearsal", "1.9 times the speed"):
        assert words in answer.reason
    assert answer.reason in found.reason, "the page of methods shows it"
    assert found.shape is not None and found.shape.backend == "unsloth" and not found.memory.exact
    assert recommend(here, model("llama-3-8b"), facts(), overrides=LONG).method("full").value("method.backend") == "trl"


def test_a_method_that_fits_with_plain_trl_goes_before_one_that_needs_unsloth(
    model: Model, machine: Build, facts: Any, made: Path
) -> None:
    here, _ = only_with_unsloth(machine, model("llama-3-8b"), facts)
    plan = recommend(here, model("llama-3-8b"), facts(), overrides=LONG)
    assert plan.method("lora").value("method.backend") == "unsloth" and plan.method("lora").fits
    assert plan.recommended == "qlora" and plan.method("qlora").value("method.backend") == "trl"
    for vram in range(12, 36):
        plan = recommend(machine(vram), model("llama-3-8b"), facts(), overrides=LONG)
        if plan.method(plan.recommended).value("method.backend") == "unsloth":
            assert plan.recommended == "qlora" and "Plain TRL does not fit" in plan.method("qlora").reason
            return
    raise AssertionError("no size of GPU at which nothing fits but QLoRA with Unsloth")


def test_without_its_environment_the_command_is_told(
    model: Model, machine: Build, facts: Any, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = only_with_unsloth(machine, model("llama-3-8b"), facts)
    monkeypatch.setenv(VARIABLE, str(made.parent / "gone"))
    found = lora(here, model("llama-3-8b"), facts)
    assert found.value("method.backend") == "trl" and not found.fits
    assert "pip install unsloth" in found.answers["method.backend"].reason and "pip install unsloth" in found.reason


def test_where_plain_trl_fits_it_is_an_option_in_words(model: Model, machine: Build, facts: Any, made: Path) -> None:
    for name, words in (("mistral-7b", "66 % less memory"), ("qwen2.5-7b", "No measurement by others")):
        found = recommend(machine(80), model(name), facts()).method("lora")
        assert found.value("method.backend") == "trl"
        assert "option" in found.answers["method.backend"].reason and words in found.answers["method.backend"].reason
        assert "Unsloth" not in found.reason


def test_it_is_no_choice_elsewhere(model: Model, machine: Build, facts: Any, made: Path) -> None:
    def reason(machine: Machine, name: str = "llama-3-8b", **more: Any) -> str:
        overrides = {key.replace("__", "."): Answer(value, "you", "") for key, value in more.items()}
        found = recommend(machine, model(name), facts(), overrides=LONG | overrides)
        assert {plan.value("method.backend") for plan in found.methods} == {"trl"}
        return found.method("lora").answers["method.backend"].reason

    assert "needs an NVIDIA GPU" in reason(machine())
    old = machine(16)
    old = replace(old, gpus=tuple(replace(gpu, compute_capability=(6, 1)) for gpu in old.gpus))
    assert "older" in reason(old)
    twice = machine(16)
    twice = replace(twice, gpus=(*twice.gpus, replace(twice.gpus[0], index=1, uuid="other")))
    assert "several" in reason(twice)
    assert "write answers" in reason(machine(16), method__objective="dpo")
    assert "DoRA" in reason(machine(16), method__dora=True)
    other = ModelFiles("x", None, "", replace(model("llama-3-8b").spec, model_type="olmo2"), None, True, 0, False)
    found = recommend(machine(16), other, facts(), overrides=LONG).method("lora")
    assert "no path of its own for olmo2" in found.answers["method.backend"].reason


def test_what_a_person_chose_stays(model: Model, machine: Build, facts: Any, absent: None) -> None:
    chosen = {"method.backend": Answer("unsloth", "you", "")}
    found = recommend(machine(80), model("llama-3-8b"), facts(), overrides=chosen).method("lora")
    assert found.value("method.backend") == "unsloth" and found.answers["method.backend"].source == "you"


def test_the_inputs_of_layers_leave_the_gpu_for_the_ram(spec: Callable[[str], ModelSpec]) -> None:
    """By its source: all but the last, from 512 tokens and 2 MiB on, and two buffers stay."""
    llama, plain = spec("llama-3-8b"), TrainingShape("qlora", 2, 2048)
    shape = replace(plain, backend="unsloth")
    size = 2 * 2 * 2048 * 4096
    assert unsloth.moved_bytes(llama, shape) == (32 - 3) * size
    with_it, without = estimate_memory(llama, shape), estimate_memory(llama, plain)
    assert without.allocated_bytes - with_it.allocated_bytes == 29 * size
    assert sum(with_it.parts.values()) == with_it.total_bytes and "less certain" in with_it.certainty
    more = host_memory_bytes(llama, shape, "cuda") - host_memory_bytes(llama, plain, "cuda")
    assert 0 < more <= unsloth.host_bytes(llama, shape)
    for changed in (
        replace(shape, sequence_length=511), replace(shape, gradient_checkpointing=False),
        replace(shape, method="full"), replace(shape, backend="trl"),
    ):  # fmt: skip
        assert unsloth.moved_bytes(llama, changed) == 0
        same = replace(changed, backend="trl")
        assert estimate_memory(llama, changed).allocated_bytes == estimate_memory(llama, same).allocated_bytes
    small = spec("tiny")
    assert unsloth.moved_bytes(small, TrainingShape("lora", 1, 512, backend="unsloth")) == 0, "smaller than 2 MiB"
