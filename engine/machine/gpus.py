"""GPUs read through NVML, the driver's own interface: no CUDA, no torch, nothing allocated on the card."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

GpuKind = Literal["cuda", "rocm", "mps", "xpu", "pretend"]

BF16_CAPABILITY = (
    8,
    0,
)  # Ampere is the first NVIDIA generation whose matrix units take bf16 (CUDA programming guide, table 5)
FP16_CAPABILITY = (7, 0)  # Volta is the first with fp16 matrix units
FP8_CAPABILITY = (8, 9)  # Ada is the first with fp8 matrix units

# NVML return codes (nvml.h); pynvml carries them in the exception's `value`.
_DRIVER_NOT_LOADED = 9
_LIBRARY_NOT_FOUND = 12
_MISMATCH = 18
_NO_PERMISSION = 4


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

    @property
    def supports_fp16(self) -> bool:
        """True where fp16 is computed by matrix units, so that it is worth training in."""
        return self.kind != "cuda" or self.compute_capability is None or self.compute_capability >= FP16_CAPABILITY

    @property
    def supports_fp8(self) -> bool:
        """True where the card has fp8 matrix units."""
        return self.compute_capability is not None and self.compute_capability >= FP8_CAPABILITY


@dataclass(frozen=True)
class GpuReading:
    """What NVML said: the devices, the versions, and in words why there are none."""

    gpus: tuple[Gpu, ...]
    notes: tuple[str, ...] = ()
    driver_version: str = ""
    cuda_version: str = ""


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


def explain_nvml_failure(error: Exception) -> str:
    """Why NVML did not start, in words that say what to do."""
    code = getattr(error, "value", None)
    if code == _LIBRARY_NOT_FOUND:
        if nvidia_card_present():
            return (
                "An NVIDIA card is in this machine but no driver is installed: install the NVIDIA driver, then "
                "start again."
            )
        return "No NVIDIA driver is installed and no NVIDIA card was found."
    if code == _DRIVER_NOT_LOADED:
        return (
            "The NVIDIA library is here but the kernel driver is not loaded: run nvidia-smi to see why, or restart "
            "the machine."
        )
    if code == _MISMATCH:
        return (
            "The NVIDIA library and the loaded kernel driver have different versions: the driver was updated while it "
            "was running. Restart the machine (or reload the nvidia kernel modules)."
        )
    if code == _NO_PERMISSION:
        return "This user may not read the NVIDIA driver: check the permissions of /dev/nvidiactl and /dev/nvidia0."
    return f"The NVIDIA driver did not start: {error}."


def nvidia_card_present(pci: Path = Path("/sys/bus/pci/devices")) -> bool:
    """True when the PCI bus shows an NVIDIA display or 3D controller (vendor 0x10de, class 0x03....)."""
    for device in pci.glob("*"):
        try:
            vendor = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
        except OSError:
            continue
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False


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
