"""Host memory, disk and time: the published figures and the directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.machine.gpus import Gpu
from engine.models.spec import ModelSpec
from engine.plan.budget import Work, checkpoint_bytes, disk_bytes, flops_per_second, host_memory_bytes, seconds_estimate
from engine.plan.memory import TrainingShape

Spec = Callable[[str], ModelSpec]
GIB = 1 << 30
FULL = TrainingShape("full", 1, 1024)
LORA = TrainingShape("lora", 4, 1024)


def card(name: str, gib: int = 80) -> Gpu:
    return Gpu(0, "", name, gib * GIB, gib * GIB, (8, 0), True, "cuda")


def test_checkpoints_have_the_published_sizes(spec: Spec) -> None:
    eight = spec("llama-3-8b")
    assert checkpoint_bytes(eight, FULL) == pytest.approx(48.2e9, rel=0.01)
    wide = 6 * 128256 * 4096  # transformers keeps the moments of the embeddings in fp32
    eight_bit = checkpoint_bytes(eight, replace(FULL, optimizer="adamw_8bit"))
    assert eight_bit == pytest.approx(32.4e9 + wide, rel=0.01)
    assert checkpoint_bytes(eight, replace(FULL, precision="fp32")) == pytest.approx(96.4e9, rel=0.01)
    assert checkpoint_bytes(eight, LORA) == pytest.approx(480 * 2**20, rel=0.01)


def test_disk_counts_the_checkpoint_being_written_and_exports(spec: Spec) -> None:
    seven = spec("llama-2-7b")
    plain = disk_bytes(seven, LORA, keep=1)
    assert disk_bytes(seven, LORA, keep=3) - plain == 2 * checkpoint_bytes(seven, LORA)
    assert disk_bytes(seven, LORA, download_bytes=10**9, keep=1) == plain + 10**9
    merged = disk_bytes(seven, LORA, keep=1, merged=True)
    assert merged == plain + 2 * seven.parameters
    assert disk_bytes(seven, LORA, keep=1, gguf=True) > merged + 2 * seven.parameters


def test_host_memory_holds_what_is_loaded_or_pushed_out(spec: Spec) -> None:
    seven = spec("llama-2-7b")
    assert host_memory_bytes(seven, replace(FULL, optimizer="paged_adamw_8bit"), "cuda") > 2 * seven.parameters
    assert host_memory_bytes(seven, LORA, "cuda") < 4e9
    assert host_memory_bytes(seven, LORA, "cpu", 20 * GIB) > 20 * GIB


def test_time_follows_the_device_and_the_work(spec: Spec) -> None:
    seven, work = spec("llama-2-7b"), Work(1000, 300, 3.0)
    small = card("NVIDIA L4", 24)

    def seconds(gpu: Gpu | None, shape: TrainingShape = LORA, cpus: int = 8, work: Work = work) -> float:
        return seconds_estimate(seven, shape, work, gpu, cpus)

    assert seconds(card("NVIDIA H100 80GB HBM3")) < seconds(small) < seconds(None)
    assert seconds(small, work=replace(work, epochs=6.0)) > 1.5 * seconds(small)
    assert seconds(small, replace(LORA, gradient_checkpointing=False)) < seconds(small)
    assert seconds(None, cpus=16) < seconds(None, cpus=2)


def test_published_throughput_is_met_within_a_factor_of_two(spec: Spec) -> None:
    # torchtune's README: Llama-3.1-8B on an RTX 4090, batch 2, packed to 2048, with checkpointing and compilation
    work = Work(1000, 2048, 1.0)
    for method, tokens_per_second in (("lora", 3083), ("qlora", 2413)):
        shape = TrainingShape(method, 2, 2048)
        seconds = seconds_estimate(spec("llama-3-8b"), shape, work, card("NVIDIA GeForce RTX 4090", 24))
        assert 0.5 < (1000 * 2048 / seconds) / tokens_per_second < 2


def test_the_longest_name_that_fits_counts() -> None:
    def rate(name: str, gib: int = 80) -> float:
        return flops_per_second(card(name, gib), 1, "lora")

    assert rate("NVIDIA H100 PCIe") < rate("NVIDIA H100 80GB HBM3")
    assert rate("NVIDIA L40S") > rate("NVIDIA L4")
    assert rate("Unheard Of", 48) > rate("Unheard Of", 8)
