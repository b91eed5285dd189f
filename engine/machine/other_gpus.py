"""AMD, Intel and Apple devices: recognised and told what works there, without their libraries."""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path

from engine.machine.gpus import Gpu, GpuReading

AMD_NOTE = (
    "An AMD GPU was found. Training on it needs the ROCm build of torch; LoRA and full fine-tuning then work. "
    "Planning here treats it like an NVIDIA card of the same memory and has not been checked on one."
)
APPLE_NOTE = (
    "This is an Apple machine: planning and CPU training of small models work. Training on its GPU (MPS) is not "
    "offered, "
    "since bitsandbytes has no 4-bit products there and the memory figures have not been checked."
)


INTEL_FILES = ("card[0-9]*/device/tile0/physical_vram_size_bytes", "card[0-9]*/lmem_total_bytes")
INTEL_NOTE = (
    "An Intel GPU was found. Training on it (XPU) is not offered, since it has not been tried; planning for other GPUs "
    "and training of small models on the processor work."
)


def read_amd(drm: Path = Path("/sys/class/drm")) -> GpuReading:
    """AMD devices by the amdgpu driver's files in sysfs (mem_info_vram_total, mem_info_vram_used). Never raises."""
    gpus: list[Gpu] = []
    try:
        cards = sorted(drm.glob("card[0-9]*/device/mem_info_vram_total"))
    except OSError:
        return GpuReading(())
    for index, file in enumerate(cards):
        device = file.parent
        total, used = _number(file), _number(device / "mem_info_vram_used")
        if not total:
            continue
        name = _text(device / "product_name") or "AMD GPU"
        gpus.append(Gpu(index, _text(device / "unique_id"), name, total, max(0, total - used), None, True, "rocm"))
    return GpuReading(tuple(gpus), (AMD_NOTE,) if gpus else ())


def read_intel(drm: Path = Path("/sys/class/drm")) -> GpuReading:
    """Intel devices with memory of their own, by the files of the xe driver (physical_vram_size_bytes) or of i915
    (lmem_total_bytes) in sysfs. Never raises."""
    gpus: list[Gpu] = []
    try:
        files = sorted(file for pattern in INTEL_FILES for file in drm.glob(pattern))
    except OSError:
        return GpuReading(())
    for index, file in enumerate(files):
        text = _text(file)
        total = int(text, 0) if text.replace("x", "").isalnum() and text[:1].isdigit() else 0
        if total:
            gpus.append(Gpu(index, "", "Intel GPU", total, total, None, True, "xpu"))
    return GpuReading(tuple(gpus), (INTEL_NOTE,) if gpus else ())


def read_apple(system: str = sys.platform, processor: str | None = None) -> GpuReading:
    """An Apple machine's GPU shares the RAM; it is named, and the note says what works."""
    if system != "darwin":
        return GpuReading(())
    chip = platform.processor() if processor is None else processor
    if chip not in ("arm", "arm64"):
        return GpuReading(
            (), ("This Mac has no Apple GPU that can train; planning and CPU training of small models work.",)
        )
    try:
        memory = importlib.import_module("psutil").virtual_memory()
        total, free = int(memory.total), int(memory.available)
    except Exception:
        total = free = 0
    return GpuReading((Gpu(0, "", "Apple GPU", total, free, None, True, "mps", unified_memory=True),), (APPLE_NOTE,))


def _number(path: Path) -> int:
    try:
        return int(path.read_text().strip())
    except (OSError, ValueError):
        return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
