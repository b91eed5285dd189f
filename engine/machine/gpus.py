"""What is known of a GPU, whoever made it and however it was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GpuKind = Literal["cuda", "rocm", "mps", "xpu", "pretend"]

BF16_CAPABILITY = (8, 0)
"""Ampere is the first NVIDIA generation whose matrix units take bf16 (CUDA programming guide, table 5)."""


@dataclass(frozen=True)
class GpuUser:
    """One process that holds memory on a GPU; `bytes` is 0 where the driver does not tell."""

    pid: int
    user: str
    bytes: int


@dataclass(frozen=True)
class Gpu:
    """One device that can train. `index` is the number CUDA gives it inside our child process."""

    index: int
    uuid: str
    name: str
    total_bytes: int
    free_bytes: int
    compute_capability: tuple[int, int] | None
    supports_bf16: bool
    kind: GpuKind
    used_by: tuple[GpuUser, ...] = ()
    power_limit_watts: float | None = None
    unified_memory: bool = False
    mig_parent: str = ""


@dataclass(frozen=True)
class GpuReading:
    """What the driver of one maker said: the devices, the versions, and in words why there are none."""

    gpus: tuple[Gpu, ...]
    notes: tuple[str, ...] = ()
    driver_version: str = ""
    cuda_version: str = ""
