"""NVIDIA GPUs read through NVML, the driver's own interface: no CUDA, no torch, nothing allocated on the card."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from engine.machine.gpus import BF16_CAPABILITY, Gpu, GpuReading, GpuUser
from engine.machine.nvml_failure import explain_nvml_failure


def read_nvidia(nvml: Any = None, user_of: Callable[[int], str] | None = None) -> GpuReading:
    """All NVIDIA devices, MIG slices in place of their parents. Never raises: what fails becomes a note.

    `nvml` stands in for the pynvml module in tests; `user_of` maps a process id to a user name.
    """
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return GpuReading((), ("The library that reads NVIDIA GPUs is not installed: pip install nvidia-ml-py",))
    try:
        nvml.nvmlInit()
    except Exception as error:
        return GpuReading((), (explain_nvml_failure(error),))
    try:
        return _read_all(nvml, user_of or user_of_process)
    except Exception as error:
        return GpuReading((), (f"The NVIDIA driver answered but its devices could not be read: {error}.",))
    finally:
        with contextlib.suppress(Exception):
            nvml.nvmlShutdown()


def user_of_process(pid: int) -> str:
    """The user name behind a process id, "" when it is gone or hidden."""
    try:
        return str(importlib.import_module("psutil").Process(pid).username())
    except Exception:
        return ""


def _read_all(nvml: Any, user_of: Callable[[int], str]) -> GpuReading:
    gpus: list[Gpu] = []
    notes: list[str] = []
    for number in range(int(nvml.nvmlDeviceGetCount())):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(number)
            gpus.extend(_slices(nvml, handle, user_of) or [_read_device(nvml, handle, user_of)])
        except Exception as error:
            notes.append(f"GPU {number} could not be read: {error}.")
    if not gpus and not notes:
        notes.append("The NVIDIA driver is loaded but it sees no GPU.")
    numbered = tuple(replace(gpu, index=index) for index, gpu in enumerate(gpus))
    return GpuReading(numbered, tuple(notes), _driver(nvml), _cuda(nvml))


def _read_device(nvml: Any, handle: Any, user_of: Callable[[int], str], mig_parent: str = "") -> Gpu:
    capability = _optional(lambda: tuple(int(part) for part in nvml.nvmlDeviceGetCudaComputeCapability(handle)))
    memory = _optional(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    total, free = (int(memory.total), int(memory.free)) if memory is not None and memory.total else _unified_memory()
    return Gpu(
        index=0,
        uuid=_text(_optional(lambda: nvml.nvmlDeviceGetUUID(handle))),
        name=_text(_optional(lambda: nvml.nvmlDeviceGetName(handle))) or "NVIDIA GPU",
        total_bytes=total,
        free_bytes=free,
        compute_capability=capability,
        supports_bf16=capability is None or capability >= BF16_CAPABILITY,
        kind="cuda",
        used_by=_users(nvml, handle, user_of),
        power_limit_watts=_optional(lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1000),
        unified_memory=memory is None or not memory.total,
        mig_parent=mig_parent,
    )


def _slices(nvml: Any, handle: Any, user_of: Callable[[int], str]) -> list[Gpu]:
    """The MIG slices of a device, empty when MIG is off or unknown to this driver."""
    mode = _optional(lambda: nvml.nvmlDeviceGetMigMode(handle))
    if not mode or mode[0] != 1:
        return []
    parent = _read_device(nvml, handle, user_of)
    found: list[Gpu] = []
    for number in range(int(_optional(lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(handle)) or 0)):
        part = _optional(partial(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number))
        if part is None:
            continue
        gpu = _read_device(nvml, part, user_of, parent.uuid)
        if gpu.compute_capability is None:  # a slice has its parent's, and older drivers only answer for the parent
            capability = parent.compute_capability
            gpu = replace(gpu, compute_capability=capability, supports_bf16=parent.supports_bf16)
        found.append(gpu)
    return found


def _users(nvml: Any, handle: Any, user_of: Callable[[int], str]) -> tuple[GpuUser, ...]:
    seen: dict[int, GpuUser] = {}
    for read in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        for process in _optional(partial(getattr(nvml, read), handle)) or ():
            held = int(process.usedGpuMemory or 0)
            seen[process.pid] = GpuUser(int(process.pid), user_of(int(process.pid)), held)
    return tuple(sorted(seen.values(), key=lambda user: -user.bytes))


def _unified_memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[int, int]:
    """Total and available bytes of a device that shares the host's memory (GB10, Jetson): NVML says "not supported"
    there."""
    fields: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in meminfo.read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                fields[name] = int(rest.split()[0]) * 1024
    return fields.get("MemTotal", 0), fields.get("MemAvailable", 0)


def _driver(nvml: Any) -> str:
    return _text(_optional(lambda: nvml.nvmlSystemGetDriverVersion()))


def _cuda(nvml: Any) -> str:
    version = _optional(lambda: int(nvml.nvmlSystemGetCudaDriverVersion_v2()))
    return f"{version // 1000}.{version % 1000 // 10}" if version else ""


def _optional(read: Callable[[], Any]) -> Any:
    """The value, or None where this driver or device does not offer it."""
    try:
        return read()
    except Exception:
        return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
