"""How much memory a piece of work takes, measured on the device that does it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.train.resident import resident_bytes


@dataclass(frozen=True)
class Peak:
    """The most that was held at once since the last reset. On a CPU both numbers are the resident size."""

    allocated_bytes: int
    reserved_bytes: int


def choose_device() -> torch.device:
    """The GPU (NVIDIA, or AMD under ROCm's name for it) when there is one that torch can use, else the CPU.

    Apple's and Intel's GPUs are left alone, as the table of `engine.machine.abilities` says and the plan counts on;
    TUNEWRIGHT_DEVICE=mps or xpu tries one at one's own risk.
    """
    asked = os.environ.get("TUNEWRIGHT_DEVICE", "")
    if asked in ("mps", "xpu", "cpu"):
        return torch.device(asked)
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def reset_peak(device: torch.device) -> None:
    """Begin to look for a new peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark of this process


def read_peak(device: torch.device) -> Peak:
    """The peak since `reset_peak`."""
    if device.type == "cuda":
        return Peak(torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device))
    if device.type == "mps":
        held = torch.mps.driver_allocated_memory()
        return Peak(held, held)
    peak = _high_water_bytes()
    return Peak(peak, peak)


def free_device_bytes(device: torch.device) -> int:
    """What is free on the device now, outside of what this process has reserved; 0 when it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        fields = Path("/proc/meminfo").read_text()
        return int(re.search(r"MemAvailable:\s+(\d+) kB", fields)[1]) * 1024  # type: ignore[index]
    except (OSError, TypeError):
        return 0


def held_bytes(device: torch.device) -> Callable[[], int]:
    """A function that says how much this run holds: reserved GPU memory, or resident memory on a CPU."""
    if device.type == "cuda":
        return lambda: int(torch.cuda.memory_reserved(device))
    if device.type == "mps":
        return lambda: int(torch.mps.driver_allocated_memory())
    return resident_bytes


def _high_water_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
    except (OSError, TypeError):
        return resident_bytes()
