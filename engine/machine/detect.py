"""One look at the machine: its GPUs, its memory, its disk, and in words what is missing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from engine.machine.abilities import ABILITIES
from engine.machine.gpus import BF16_CAPABILITY, Gpu
from engine.machine.host import GIB, Host, read_host
from engine.machine.nvidia_gpus import read_nvidia
from engine.machine.other_gpus import read_amd, read_apple, read_intel
from engine.machine.visible import choose_visible

PRETEND_FREE_SHARE = 0.975
"""A card of "24 GB" (24 GiB) with nothing running offers about 23.4 GiB: the driver keeps the rest."""
PRETEND_RAM_SHARE = 0.9
"""An idle system holds about a tenth of its memory."""


@dataclass(frozen=True)
class Machine:
    """What is here. `notes` are whole sentences for the person; `pretended` is True after `pretend`."""

    gpus: tuple[Gpu, ...]
    host: Host
    notes: tuple[str, ...]
    driver_version: str = ""
    cuda_version: str = ""
    pretended: bool = False

    @property
    def best_gpu(self) -> Gpu | None:
        """The device with the most free memory that can train here, None when there is none."""
        able = [gpu for gpu in self.gpus if ABILITIES[gpu.kind].trains]
        return max(able, key=lambda gpu: gpu.free_bytes, default=None)

    @property
    def nvidia_gpus(self) -> tuple[Gpu, ...]:
        """The devices that could share a run; one alone shares nothing."""
        return tuple(gpu for gpu in self.gpus if gpu.kind in ("cuda", "pretend"))


def detect_machine(runs_directory: Path | None = None) -> Machine:
    """Look at the machine. Never raises, imports no torch; `runs_directory` names the file system whose free space
    counts."""
    reading = read_nvidia()
    notes = list(reading.notes)
    gpus, hidden = choose_visible(reading.gpus, os.environ)
    notes.extend(hidden)
    if not reading.gpus:
        for other in (read_amd(), read_intel(), read_apple()):
            if other.gpus or other.notes:
                notes = [note for note in notes if "no NVIDIA card was found" not in note]
            gpus += other.gpus
            notes.extend(other.notes)
    if is_wsl():
        notes.append("This is WSL: the GPU is shared with Windows, whose desktop holds a part of its memory.")
    return Machine(gpus, read_host(runs_directory), tuple(notes), reading.driver_version, reading.cuda_version)


def pretend(machine: Machine, vram_gb: float | None = None, ram_gb: float | None = None, count: int = 1) -> Machine:
    """The same machine with `count` other GPUs (`vram_gb` as printed on the box; 0 removes them) or other RAM.

    A pretended card is idle and of the Ampere generation or newer, so it computes bf16.
    """
    gpus, host, notes = machine.gpus, machine.host, machine.notes
    if vram_gb is not None:
        total = int(vram_gb * GIB)
        card = Gpu(
            0,
            "",
            f"pretended {vram_gb:g} GB GPU",
            total,
            int(total * PRETEND_FREE_SHARE),
            BF16_CAPABILITY,
            True,
            "pretend",
        )
        gpus = tuple(replace(card, index=index) for index in range(count)) if vram_gb > 0 else ()
        cards = f"{count} GPUs with {vram_gb:g} GB each" if count > 1 else f"a GPU with {vram_gb:g} GB"
        notes = (f"Pretending {cards if vram_gb > 0 else 'no GPU'}.",)
    if ram_gb is not None:
        total = int(ram_gb * GIB)
        host = replace(host, ram_total_bytes=total, ram_available_bytes=int(total * PRETEND_RAM_SHARE), limits=())
        notes = (*notes, f"Pretending {ram_gb:g} GB of RAM.")
    return replace(machine, gpus=gpus, host=host, notes=notes, pretended=True)


def is_wsl() -> bool:
    """True inside the Windows Subsystem for Linux (its kernel names Microsoft)."""
    return "microsoft" in platform.release().lower()
