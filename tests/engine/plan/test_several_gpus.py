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

WAYS = ("ddp", "zero2", "fsdp2", "zero3")
NAMES = ("HuggingFaceTB/SmolLM2-360M-Instruct", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-32B-Instruct")


@pytest.fixture(autouse=True)
def no_deepspeed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without DeepSpeed, whatever is installed here."""
    for module in ("several_gpus", "sharing"):
        monkeypatch.setattr(f"engine.plan.{module}.has_deepspeed", lambda: False)


@pytest.fixture
def deepspeed(no_deepspeed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("several_gpus", "sharing"):
        monkeypatch.setattr(f"engine.plan.{module}.has_deepspeed", lambda: True)


def spec_of(name: str) -> ModelSpec:
    spec = catalog_spec(name)
    assert spec is not None
    return spec


def plan_of(name: str, vram_gb: int = 24, count: int = 1, objective: str = "", **more: str) -> Plan:
    one = machine(vram_gb)
    several = replace(one, gpus=tuple(replace(one.gpus[0], index=index) for index in range(count)))
    given = {"method.objective": Answer(objective, "you", "")} if objective else {}
    given |= {key.replace("__", "."): Answer(value, "you", "") for key, value in more.items()}
    return recommend(several, ModelFiles(name, None, "", spec_of(name), None, True, 0, False), None, overrides=given)


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


@pytest.mark.parametrize("objective", ["sft", "dpo", "kto", "orpo", "classify"])
@pytest.mark.parametrize(("vram_gb", "count"), [(24, 2), (24, 3), (80, 4), (80, 8)])
def test_a_planned_step_is_shared_evenly_and_keeps_its_rows(vram_gb: int, count: int, objective: str) -> None:
    single, shared = plan_of(NAMES[0], vram_gb, 1, objective), plan_of(NAMES[0], vram_gb, count, objective)
    for before, after in zip(single.methods, shared.methods, strict=True):
        micro, accumulation, devices = (int(after.value(f"training.{key}")) for key in (
            "micro_batch_size", "gradient_accumulation_steps", "devices"))  # fmt: skip
        assert before.value("training.devices") == 1
        assert 1 < devices <= count
        assert accumulation % devices == 0
        assert micro > 1 or objective != "kto"  # which compares the answers within a micro-batch
        smaller = micro != before.value("training.micro_batch_size")
        assert ("KL term" in after.answers["training.micro_batch_size"].reason) == (smaller and objective == "kto")
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
    assert full.need_bytes == full.memory.total_bytes == best.need_bytes < 80e9
    assert "8 of them divide it" in full.answers["training.devices"].reason
    assert full.with_memory(single.memory) is full  # a simulation of the whole model says nothing about a part
    for other in ("lora", "qlora"):
        assert plan.method(other).value("training.sharding") == "none"
    assert plan.as_dict()["methods"][0]["several_gpus"][1]["certainty"] == "by formula, not simulated"


def test_what_compares_answers_is_copied_and_never_divided() -> None:
    full, lora = (plan_of(NAMES[1], 24, 2, "dpo").method(name) for name in ("full", "lora"))
    assert (full.fits, full.value("training.devices"), full.value("training.sharding")) == (False, 1, "none")
    assert "not divided among several" in full.answers["training.devices"].reason
    assert lora.value("training.devices") == 2
    alone = plan_of(NAMES[1], 24, 1, "dpo").method("lora")
    assert lora.memory.total_bytes < alone.memory.total_bytes  # smaller micro-batches leave room for the messages
    gpus = plan_of(NAMES[1], 24, 2).machine.nvidia_gpus
    assert [one.way for one in sharings(full, spec_of(NAMES[1]), gpus)] == ["ddp"]


def test_four_bits_are_only_copied_and_one_gpu_shares_nothing() -> None:
    plan = plan_of(NAMES[1], 24, 2)
    assert [one.way for one in sharings(plan.method("qlora"), plan.spec, plan.machine.nvidia_gpus)] == ["ddp"]
    single = plan_of(NAMES[1])
    assert sharings(single.method("lora"), single.spec, single.machine.nvidia_gpus) == []
    assert "several_gpus" not in single.as_dict()["methods"][0]


def test_deepspeed_divides_adapters_and_an_optimizer_alone(deepspeed: None) -> None:
    """Beside what sharing takes a 32B does not fit on 24 GB in 4 bits, nor a full 7B with an exact optimizer on
    48 GB."""
    large = plan_of(NAMES[2], 24, 4).method("qlora")
    assert large.fits
    assert (large.value("training.sharding"), large.value("training.devices")) == ("zero3", 4)
    assert "4 of them divide it (DeepSpeed ZeRO-3)" in large.answers["training.devices"].reason
    assert large.memory.total_bytes < 24e9
    assert large.host_memory_bytes > 4 * 16e9  # each process has all of the base in 4 bits before it is divided
    assert any("RAM" in warning for warning in large.warnings)
    full = plan_of(NAMES[1], 48, 8, training__optimizer="adamw_torch_fused").method("full")
    assert full.fits
    assert full.value("training.sharding") == "zero2"
    assert "each holds the weights" in full.answers["training.devices"].reason


def test_without_deepspeed_a_large_adapter_says_what_would_divide_it() -> None:
    large = plan_of(NAMES[2], 16, 4).method("qlora")
    assert not large.fits
    assert large.value("training.sharding") == "none"
    assert "pip install deepspeed" in large.answers["training.devices"].reason.replace("'", "")
