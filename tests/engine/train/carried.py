"""Runs that are carried out inside the test process, and what they said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.runs.events import iterate_events
from engine.runs.store import Run

RunFactory = Callable[..., Run]


@dataclass(frozen=True)
class Carried:
    """A run that was carried out, and what it said."""

    run: Run
    code: int = 0

    @property
    def events(self) -> list[dict[str, Any]]:
        return list(iterate_events(self.run.events_path))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def steps(self) -> dict[int, tuple[Any, ...]]:
        """Step -> what must be the same in a run that was interrupted; the newest event of a step counts."""
        return {e["step"]: (e["loss"], e["grad_norm"], e["lr"], e["tokens"]) for e in self.of("step")}

    def weights(self) -> bytes:
        folder = self.run.result_dir
        path = folder / "adapter" / "adapter_model.safetensors"
        return (path if path.exists() else folder / "model" / "model.safetensors").read_bytes()


def carry(run: Run, resume: bool = False) -> Carried:
    """Carry out a run here, without a process of its own."""
    from engine.train.run import carry_out

    before = os.umask(0o077)
    try:
        return Carried(run, carry_out(run, resume))
    finally:
        os.umask(before)


class OnDemand(dict[str, Carried]):
    """Runs by name, each carried out when it is first asked for: a part of the tests takes a part of the time."""

    def __init__(self, make: Callable[[str], Run]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Carried:
        self[name] = carry(self._make(name))
        return self[name]


def copy_until(carried: Carried, name: str, step: int) -> Run:
    """A copy of a run as it was when the checkpoint of `step` was its newest, and nothing after it had happened."""
    target = carried.run.path.with_name(name)
    shutil.copytree(carried.run.path, target)
    run = Run(target)
    shutil.rmtree(run.result_dir, ignore_errors=True)
    for folder in run.checkpoints_dir.iterdir():
        if int(folder.name.split("-")[1]) > step:
            shutil.rmtree(folder)
    return run
