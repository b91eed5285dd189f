"""Estimate, simulation and measurement of one run side by side: how far the planner can be trusted on this machine.

The rehearsal of a run measures its longest batch, which is often shorter than the planned length. So all three numbers
stand for the batch that was rehearsed: the estimate as the engine wrote it down, the simulation of that very batch.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from engine.runs.events import Event, number
from engine.runs.files import read_json, write_atomic
from engine.runs.history import History
from engine.runs.store import Run

SIMULATION_FILE = "simulation.json"
KIND_OF_ALLOCATION = {"cpu": "resident memory", "cuda": "allocated", "mps": "held by the driver"}


@dataclass(frozen=True)
class Comparison:
    """One run, in bytes. `rows` x `tokens` is the micro-batch that was measured; `simulation_bytes` is None while it
    was not simulated. On a GPU the numbers are what tensors held at the peak, on a CPU what the process grew by."""

    run: str
    device: str
    model: str
    method: str
    rows: int
    tokens: int
    estimate_bytes: int
    simulation_bytes: int | None
    measured_bytes: int
    reserved_bytes: int

    @property
    def estimate_error(self) -> float:
        """(estimate - measured) / measured."""
        return (self.estimate_bytes - self.measured_bytes) / self.measured_bytes

    @property
    def simulation_error(self) -> float | None:
        """(simulation - measured) / measured; None without a simulation."""
        if self.simulation_bytes is None:
            return None
        return (self.simulation_bytes - self.measured_bytes) / self.measured_bytes

    def as_dict(self) -> dict[str, Any]:
        """The form of `plan --calibration --json`."""
        return {**self.__dict__, "estimate_error": self.estimate_error, "simulation_error": self.simulation_error}


def compare(run: Run) -> Comparison | None:
    """The numbers of one run; None when it was never rehearsed. Raises UserError for a recipe that cannot be read."""
    event = last_rehearsal(run)
    measured = measured_bytes(event) if event is not None else 0
    if event is None or measured <= 0:
        return None
    recipe = run.recipe()
    rows, tokens = batch_of(event)
    return Comparison(
        run.name, str(event.get("device", "")), recipe.model.source, recipe.method.name, rows, tokens,
        _whole(event, "estimate_bytes"), _known_simulation(run, rows, tokens), measured,
        _whole(event, "reserved_bytes"),
    )  # fmt: skip


def measured_bytes(rehearsal: Event) -> int:
    """What the rehearsal measured: allocated bytes on a GPU; on a CPU what the process grew by since it was loaded."""
    peak = _whole(rehearsal, "allocated_bytes")
    return peak - _whole(rehearsal, "baseline_bytes") if rehearsal.get("device") == "cpu" else peak


def batch_of(rehearsal: Event) -> tuple[int, int]:
    """Rows and tokens of the micro-batch that was measured."""
    parts = max(1, _whole(rehearsal, "parts"))
    return max(1, -(-_whole(rehearsal, "rows") // parts)), _whole(rehearsal, "tokens")


def last_rehearsal(run: Run) -> Event | None:
    """The newest rehearsal that the run wrote down."""
    history = History()
    while history.follow(run):
        pass
    return history.rehearsal


def simulation_request(run: Run, comparison: Comparison) -> dict[str, Any]:
    """The request to the job "simulate" for the batch that was measured. Raises UserError."""
    recipe = run.recipe()
    settings = {key: answer.value for key, answer in recipe.answers.items()}
    settings |= {"training.micro_batch_size": comparison.rows, "training.sequence_length": comparison.tokens}
    request: dict[str, Any] = {"model": recipe.model.source, "revision": recipe.model.revision, "settings": settings,
                               "device": "cuda" if comparison.device == "cuda" else "cpu"}  # fmt: skip
    gpu = read_json(run.environment_path).get("gpu") or {}
    if gpu.get("capability"):
        request["capability"] = gpu["capability"]
    return request


def keep_simulation(run: Run, comparison: Comparison, allocated_bytes: int) -> None:
    """Write the simulation of the measured batch into the run's folder. Raises OSError."""
    document = {"rows": comparison.rows, "tokens": comparison.tokens, "allocated_bytes": allocated_bytes}
    write_atomic(run.path / SIMULATION_FILE, json.dumps(document))


def _whole(event: Event, name: str) -> int:
    """A count in an event; 0 when it is absent or no number."""
    value = number(event.get(name))
    return int(value) if math.isfinite(value) else 0


def _known_simulation(run: Run, rows: int, tokens: int) -> int | None:
    kept = read_json(run.path / SIMULATION_FILE)
    if (kept.get("rows"), kept.get("tokens")) != (rows, tokens):
        return None
    size = kept.get("allocated_bytes")
    return int(size) if isinstance(size, int) else None
