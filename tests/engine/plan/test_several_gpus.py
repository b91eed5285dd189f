"""The need of each of several GPUs: laws that hold whatever the numbers are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.models.catalog import catalog_spec
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan.plan import Plan
from engine.plan.recommend import recommend
from engine.plan.several_gpus import BUCKET_BYTES, NCCL_BYTES, best_sharing, device_bytes, sharings
from engine.recipe import Answer
from tests.tui.wizard_fakes import machine

WAYS = ("ddp", "fsdp2")
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


def test_data_parallel_adds_what_the_processes_need_to_talk() -> None:
    plan = plan_of(NAMES[1]).method("full")
    more = device_bytes(plan, spec_of(NAMES[1]), "ddp", 2) - plan.need_bytes
    assert more == NCCL_BYTES + BUCKET_BYTES


@pytest.mark.parametrize(("vram_gb", "count"), [(24, 2), (24, 3), (80, 4), (80, 8)])
def test_a_planned_step_is_shared_evenly_and_keeps_its_rows(vram_gb: int, count: int) -> None:
    single, shared = plan_of(NAMES[0], vram_gb), plan_of(NAMES[0], vram_gb, count)
    for before, after in zip(single.methods, shared.methods, strict=True):
        micro, accumulation, devices = (int(after.value(f"training.{key}")) for key in (
            "micro_batch_size", "gradient_accumulation_steps", "devices"))  # fmt: skip
        assert before.value("training.devices") == 1
        assert 1 < devices <= count
        assert accumulation % devices == 0
        assert micro * accumulation == before.value("training.micro_batch_size") * before.value(
            "training.gradient_accumulation_steps")  # fmt: skip
        assert after.value("training.sharding") == "none"
        assert after.seconds < before.seconds
        assert f"each of {devices} GPUs holds the whole model" in after.answers["training.devices"].reason


def test_what_a_person_set_is_not_changed_to_be_shared() -> None:
    given = {key: Answer(value, "you", "") for key, value in (
        ("training.micro_batch_size", 8), ("training.gradient_accumulation_steps", 1))}  # fmt: skip
    one = machine(80)
    several = replace(one, gpus=tuple(replace(one.gpus[0], index=index) for index in range(2)))
    files = ModelFiles(NAMES[0], None, "", spec_of(NAMES[0]), None, True, 0, False)
    plan = recommend(several, files, None, overrides=given).method("lora")
    assert (plan.value("training.devices"), plan.value("training.micro_batch_size")) == (1, 8)
    assert "too few rows" in plan.answers["training.devices"].reason


def test_sharding_divides_what_is_held_and_keeps_what_is_computed() -> None:
    """A full 7B in bf16 holds 8 bytes a parameter: on many devices nearly all of it is gone, activations stay."""
    plan, spec = plan_of(NAMES[1], 80).method("full"), spec_of(NAMES[1])
    saved = plan.need_bytes - device_bytes(plan, spec, "fsdp2", 8)
    assert 0.6 * 8 * spec.parameters < saved < 8 * spec.parameters


def test_a_model_too_large_for_one_card_is_offered_sharded_on_eight() -> None:
    plan = plan_of(NAMES[2], 80, 8)
    full, single = plan.method("full"), plan_of(NAMES[2], 80).method("full")
    found = sharings(full, plan.spec, plan.machine.nvidia_gpus)
    best = best_sharing(found)
    assert best is not None and best.way == "fsdp2"
    assert not single.fits
    assert full.fits
    assert (full.value("training.sharding"), full.value("training.devices")) == ("fsdp2", 8)
    assert full.value("training.optimizer") == "adamw_torch_fused"
    assert full.memory.total_bytes == best.need_bytes < 80e9
    assert "8 of them divide it" in full.answers["training.devices"].reason
    assert full.with_memory(single.memory) is full  # a simulation of the whole model says nothing about a part
    for other in ("lora", "qlora"):
        assert plan.method(other).value("training.sharding") == "none"
    assert plan.as_dict()["methods"][0]["several_gpus"][1]["certainty"] == "by formula, not simulated"


def test_four_bits_are_only_copied_and_one_gpu_shares_nothing() -> None:
    plan = plan_of(NAMES[1], 24, 2)
    assert [one.way for one in sharings(plan.method("qlora"), plan.spec, plan.machine.nvidia_gpus)] == ["ddp"]
    single = plan_of(NAMES[1])
    assert sharings(single.method("lora"), single.spec, single.machine.nvidia_gpus) == []
    assert "several_gpus" not in single.as_dict()["methods"][0]
