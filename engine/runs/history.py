"""What a run has said so far, folded into what a viewer shows.

A viewer keeps one `History`, calls `follow` a few times a second, and draws what changed. Two viewers that read the
same directory hold the same history, whenever they came.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import Any

from engine.runs.events import Event, number, read_events
from engine.runs.store import Run

KEPT_NOTES = 1000
"""Warnings and other notes that are kept for display; their count goes on."""


@dataclass
class Curve:
    """One value over optimizer steps: two columns of equal length, oldest first."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def append(self, step: float, value: float) -> None:
        self.steps.append(step)
        self.values.append(value)

    def rewind(self, step: float) -> None:
        """Forget everything after `step`."""
        while self.steps and self.steps[-1] > step:
            self.steps.pop()
            self.values.pop()

    def __len__(self) -> int:
        return len(self.steps)


PREFERENCE_CURVES = ("margin", "accuracy", "kl", "reward_chosen", "reward_rejected")
"""Only of runs that compare answers."""
STEP_CURVES = ("loss", "lr", "grad_norm", "tokens_per_second", "mem", "seconds", *PREFERENCE_CURVES)


@dataclass
class History:
    """A fold over events. `revision` grows with every event that was taken in."""

    phase: str = ""
    phase_detail: str = ""
    step: int = 0
    total_steps: int = 0
    epoch: float = 0.0
    tokens: int = 0
    curves: dict[str, Curve] = field(default_factory=lambda: {name: Curve() for name in STEP_CURVES})
    evals: Curve = field(default_factory=Curve)
    device_bytes: list[float] = field(default_factory=list)
    """What each device held at the newest step, where several share the run; empty where one carries it out."""
    checkpoints: list[int] = field(default_factory=list)
    rewinds: list[int] = field(default_factory=list)
    samples: list[Event] = field(default_factory=list)
    notes: list[Event] = field(default_factory=list)
    controls: dict[str, Event] = field(default_factory=dict)
    rehearsal: Event | None = None
    error: Event | None = None
    ended: Event | None = None
    first_time: float = 0.0
    last_time: float = 0.0
    skipped_lines: int = 0
    revision: int = 0
    offset: int = 0

    @property
    def loss(self) -> Curve:
        return self.curves["loss"]

    def last(self, name: str) -> float | None:
        """The newest value of a step curve, or None before the first step."""
        values = self.curves[name].values
        return values[-1] if values else None

    def follow(self, run: Run) -> int:
        """Take in what was written since the last call; returns how many events that were."""
        events, self.offset, skipped = read_events(run.events_path, self.offset)
        self.skipped_lines += skipped
        for event in events:
            self.add(event)
        return len(events)

    def add(self, event: Event) -> None:
        """Take in one event. Fields that are missing or of another type never raise."""
        self.revision += 1
        moment = number(event.get("t"))
        self.first_time = self.first_time or moment
        self.last_time = moment
        handler = getattr(self, f"_on_{event.get('type')}", None)
        if handler is not None:
            handler(event)

    def _on_phase(self, event: Event) -> None:
        self.phase = str(event.get("phase", ""))
        self.phase_detail = str(event.get("detail", ""))
        self.ended = None  # a resumed run has begun again
        self._keep(event)

    def _on_step(self, event: Event) -> None:
        step = _whole(event.get("step"))
        if step < self.step:  # a writer that forgot its rewind event
            self._back_to(step - 1)
        self.step = step
        self.total_steps = _whole(event.get("total_steps")) or self.total_steps
        self.epoch = number(event.get("epoch", self.epoch))
        self.tokens = _whole(event.get("tokens")) or self.tokens
        several = event.get("device_mem")
        self.device_bytes = [number(one) for one in several] if isinstance(several, list) else []
        for name, curve in self.curves.items():
            if name in event:
                curve.append(step, number(event[name]))

    def _on_eval(self, event: Event) -> None:
        self.evals.append(_whole(event.get("step")), number(event.get("loss")))
        self._keep(event)

    def _on_checkpoint(self, event: Event) -> None:
        self.checkpoints.append(_whole(event.get("step")))
        self._keep(event)

    def _on_rewind(self, event: Event) -> None:
        self._back_to(_whole(event.get("step")))
        self.rewinds.append(self.step)
        self._keep(event)

    def _back_to(self, step: int) -> None:
        self.step = max(step, 0)
        for curve in (*self.curves.values(), self.evals):
            curve.rewind(step)
        self.checkpoints = [kept for kept in self.checkpoints if kept <= step]

    def _on_sample(self, event: Event) -> None:
        self.samples.append(event)
        del self.samples[:-KEPT_NOTES]

    def _on_rehearsal(self, event: Event) -> None:
        self.rehearsal = event
        self._keep(event)

    def _on_control(self, event: Event) -> None:
        self.controls[str(event.get("id", ""))] = event
        self._keep(event)

    def _on_warning(self, event: Event) -> None:
        self._keep(event)

    _on_oom = _on_warning

    def _on_error(self, event: Event) -> None:
        self.error = event
        self._keep(event)

    def _on_end(self, event: Event) -> None:
        self.ended = event
        if event.get("reason") != "failed":
            self.error = None
        self._keep(event)

    def _keep(self, event: Event) -> None:
        self.notes.append(event)
        del self.notes[:-KEPT_NOTES]


def load_history(run: Run) -> History:
    """Everything that the run has said until now."""
    history = History()
    while history.follow(run):
        pass
    return history


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0
