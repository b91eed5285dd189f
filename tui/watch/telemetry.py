"""What the machine does right now: GPUs through NVML, memory, disk and the engine's own process. Read in a thread.

psutil and pynvml are imported at the first reading, after the first page is on the screen.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from engine.runs.liveness import Liveness, liveness
from engine.runs.store import Run

_THROTTLE_WORDS = (
    (0x40, "slowed by heat"),
    (0x20, "slowed by heat"),
    (0x80, "slowed by the power supply"),
    (0x08, "slowed by the hardware"),
    (0x04, "at its power limit"),
)
"""NVML's clocks-event reasons (nvml.h, NVML_CLOCKS_EVENT_REASON_*) in the order in which they matter to a person."""


@dataclass(frozen=True)
class GpuReading:
    """One GPU at one moment. None where the driver does not say."""

    index: int
    name: str
    used_bytes: int
    total_bytes: int
    utilisation_percent: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    temperature_celsius: int | None = None
    throttled: str = ""


@dataclass(frozen=True)
class Reading:
    """The machine and the engine at one moment."""

    liveness: Liveness
    gpus: tuple[GpuReading, ...] = ()
    ram_used_bytes: int = 0
    ram_total_bytes: int = 0
    cpu_percent: float = 0.0
    engine_bytes: int = 0
    disk_free_bytes: int = 0
    elapsed_seconds: float = 0.0


class Telemetry:
    """Takes readings for one run. Not for two threads at once."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._nvml: Any = None
        self._nvml_tried = False

    def read(self) -> Reading:
        """One reading, some milliseconds. Never raises: what cannot be read stays zero or absent."""
        from engine.machine.host import read_host

        alive = liveness(self.run)
        host = read_host(self.run.path)
        used = host.ram_total_bytes - host.ram_available_bytes
        cpu_percent, engine_bytes = _process(alive.pid)
        worked = self.run.state().get("elapsed_seconds")
        return Reading(
            liveness=alive,
            gpus=self._gpus(),
            ram_used_bytes=used,
            ram_total_bytes=host.ram_total_bytes,
            cpu_percent=cpu_percent,
            engine_bytes=engine_bytes,
            disk_free_bytes=host.disk_free_bytes,
            elapsed_seconds=float(worked) if isinstance(worked, int | float) else 0.0,
        )

    def _gpus(self) -> tuple[GpuReading, ...]:
        nvml = self._start_nvml()
        if nvml is None:
            return ()
        readings = []
        with contextlib.suppress(nvml.NVMLError):
            for index in range(nvml.nvmlDeviceGetCount()):
                readings.append(_gpu(nvml, index))
        return tuple(readings)

    def _start_nvml(self) -> Any:
        if not self._nvml_tried:
            self._nvml_tried = True
            with contextlib.suppress(Exception):  # no driver, no library, a broken one: then there is nothing to read
                import pynvml

                pynvml.nvmlInit()
                self._nvml = pynvml
        return self._nvml


def _process(pid: int) -> tuple[float, int]:
    """How busy the processors are since the last reading, and the memory that the engine's process holds."""
    import psutil

    engine_bytes = 0
    with contextlib.suppress(psutil.Error):
        engine_bytes = psutil.Process(pid).memory_info().rss if pid else 0
    return psutil.cpu_percent(), engine_bytes


def _gpu(nvml: Any, index: int) -> GpuReading:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)

    def ask(function: Any, *arguments: Any) -> Any:
        with contextlib.suppress(nvml.NVMLError):
            return function(handle, *arguments)
        return None

    rates = ask(nvml.nvmlDeviceGetUtilizationRates)
    power = ask(nvml.nvmlDeviceGetPowerUsage)
    limit = ask(nvml.nvmlDeviceGetEnforcedPowerLimit)
    reasons = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons) or 0
    name = nvml.nvmlDeviceGetName(handle)
    return GpuReading(
        index=index,
        name=name.decode() if isinstance(name, bytes) else str(name),
        used_bytes=int(memory.used),
        total_bytes=int(memory.total),
        utilisation_percent=int(rates.gpu) if rates is not None else None,
        power_watts=power / 1000 if power is not None else None,
        power_limit_watts=limit / 1000 if limit is not None else None,
        temperature_celsius=ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        throttled=throttle_words(int(reasons)),
    )


def throttle_words(reasons: int) -> str:
    """Why a GPU runs slower than it could; empty when it does not."""
    return next((words for bit, words in _THROTTLE_WORDS if reasons & bit), "")
