"""The documented hardware tiers, and how this machine stands to each, line by line."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from engine.errors import UserError
from engine.machine.detect import Machine

GB = 1e9  # tiers are written in the units of shop labels; a card of "24 GB" has 25.7e9 bytes and passes
SMALLEST_GB = 1.0  # a scaled tier never asks for less than this
SAME_CLASS = (0.75, 1.25)  # 5.3 to 8.8 billion parameters are what people call a 7B model: the tier stands as written


@dataclass(frozen=True)
class Tier:
    """One row of the documented table: what a method needs for a model of `model_parameters` parameters."""

    name: str
    method: str
    model_parameters: int
    vram_gb: float
    ram_gb: float
    disk_gb: float
    source: str


@dataclass(frozen=True)
class TierLine:
    """One line of a tier: `what` is "VRAM", "RAM" or "disk"; amounts in 10^9 bytes."""

    what: str
    need_gb: float
    have_gb: float
    met: bool


@dataclass(frozen=True)
class TierCheck:
    """A tier against this machine; `scaled` says that the amounts were scaled from the tier's model size."""

    tier: Tier
    lines: tuple[TierLine, ...]
    met: bool
    scaled: bool = False


@cache
def load_tiers() -> tuple[Tier, ...]:
    """The tiers of assets/tiers.toml in their order. UserError when the file is damaged."""
    text = files("assets").joinpath("tiers.toml").read_text(encoding="utf-8")
    try:
        return tuple(_tier(row) for row in tomllib.loads(text)["tier"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            "The table of hardware tiers cannot be read.", f"assets/tiers.toml: {error}", "Install the program again."
        ) from error


def check_tier(tier: Tier, machine: Machine, parameters: int | None = None) -> TierCheck:
    """Compare a tier with the machine; with `parameters` the amounts scale linearly from the tier's model size."""
    share = 1.0 if parameters is None else parameters / tier.model_parameters
    scaled = not SAME_CLASS[0] <= share <= SAME_CLASS[1]
    share = share if scaled else 1.0
    gpu = machine.best_gpu
    lines = (
        _line("VRAM", tier.vram_gb * share, gpu.total_bytes if gpu else 0),
        _line("RAM", tier.ram_gb * share, machine.host.ram_total_bytes),
        _line("disk", tier.disk_gb * share, machine.host.disk_free_bytes),
    )
    return TierCheck(tier, lines, all(line.met for line in lines), scaled)


def _line(what: Literal["VRAM", "RAM", "disk"], need_gb: float, have_bytes: int) -> TierLine:
    need = round(max(need_gb, SMALLEST_GB), 1)
    have = have_bytes / GB
    return TierLine(what, need, round(have, 1), have >= need)


def _tier(row: dict[str, Any]) -> Tier:
    return Tier(
        str(row["name"]),
        str(row["method"]),
        int(row["model_parameters"]),
        float(row["vram_gb"]),
        float(row["ram_gb"]),
        float(row["disk_gb"]),
        str(row["source"]),
    )
