"""The need of each of several GPUs: laws that hold whatever the numbers are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.models.catalog import catalog_spec
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan.plan import Plan
from engine.plan.recommend import recommend
from engine.plan.several_gpus import best_sharing, device_bytes, sharings
from engine.plan.weights import gradient_bytes
from tests.tui.wizard_fakes import machine

WAYS = ("ddp", "fsdp2", "zero2", "zero3")
NAMES = ("HuggingFaceTB/SmolLM2-360M-Instruct", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-32B-Instruct")


def spec_of(name: str) -> ModelSpec:
    spec = catalog_spec(name)
    assert spec is not None
    return spec


def plan_of(name: str, vram_gb: int = 24, count: int = 1) -> Plan:
    one = machine(vram_gb)
    several = replace(one, gpus=tuple(replace(one.gpus[0], index=index) for index in range(count)))
    return recommend(several, ModelFiles(name, None, "", spec_of(name), None, True, 0, False), None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_more_devices_never_need_more_each_and_one_needs_what_the_plan_says(name: str, way: str, method: str) -> None:
    plan = plan_of(name).method(method)
    needs = [device_bytes(plan, spec_of(name), way, count) for count in (2, 3, 4, 8, 64)]
    assert needs == sorted(needs, reverse=True)
    assert device_bytes(plan, spec_of(name), way, 1) == plan.need_bytes


def test_data_parallel_holds_the_gradients_twice() -> None:
    plan = plan_of(NAMES[1]).method("full")
    assert plan.shape is not None
    more = device_bytes(plan, spec_of(NAMES[1]), "ddp", 2) - plan.need_bytes
    assert more >= gradient_bytes(spec_of(NAMES[1]), plan.shape)


def test_sharding_divides_what_is_held_and_keeps_what_is_computed() -> None:
    """A full 7B in bf16 holds 8 bytes a parameter: on many devices nearly all of it is gone, activations stay."""
    plan, spec = plan_of(NAMES[1], 80).method("full"), spec_of(NAMES[1])
    saved = plan.need_bytes - device_bytes(plan, spec, "fsdp2", 8)
    assert 0.6 * 8 * spec.parameters < saved < 8 * spec.parameters


def test_a_model_too_large_for_one_card_is_offered_sharded_on_eight() -> None:
    plan = plan_of(NAMES[2], 80, 8)
    found = sharings(plan.method("full"), plan.spec, plan.machine.nvidia_gpus)
    assert not plan.method("full").fits
    best = best_sharing(found)
    assert best is not None and best.way == "fsdp2"
    assert plan.as_dict()["methods"][0]["several_gpus"][1]["certainty"] == "by formula, not simulated"


def test_four_bits_are_only_copied_and_one_gpu_shares_nothing() -> None:
    plan = plan_of(NAMES[1], 24, 2)
    assert [one.way for one in sharings(plan.method("qlora"), plan.spec, plan.machine.nvidia_gpus)] == ["ddp"]
    single = plan_of(NAMES[1])
    assert sharings(single.method("lora"), single.spec, single.machine.nvidia_gpus) == []
    assert "several_gpus" not in single.as_dict()["methods"][0]
