"""What the steps axis of a run is labelled with: steps, epochs, or the time they took. Pure.

Points stay where their step is, whatever the labels say, so that nothing moves when the labels change. Time runs
unevenly over steps; its labels stand where the clock really was, and beyond the newest step where the pace leads.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import isfinite
from typing import Literal

from engine.runs.history import History
from tui.charts.scale import Range, nice_step, number, ticks

By = Literal["steps", "epochs", "time"]
ORDER: tuple[By, ...] = ("steps", "epochs", "time")
ROUND_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400)
_DAY = 86_400


class Axis:
    """The labels of one chart. `by` may be changed at any time."""

    def __init__(self) -> None:
        self.by: By = "steps"
        self._steps: array[float] = array("d")
        self._clock: array[float] = array("d")  # seconds that all steps up to the same index took
        self._epochs_per_step = 0.0

    def follow(self, history: History) -> None:
        """Take in new steps."""
        if history.step and history.epoch:
            self._epochs_per_step = history.epoch / history.step
        curve = history.curves["seconds"]
        if len(self._clock) > len(curve) or (len(self._clock) and self._steps[-1] != curve.steps[len(self._clock) - 1]):
            del self._clock[:], self._steps[:]
        last = self._clock[-1] if self._clock else 0.0
        for value in curve.values[len(self._clock) :]:
            last += value if isfinite(value) else 0.0
            self._clock.append(last)
        self._steps.extend(curve.steps[len(self._steps) :])

    def next(self) -> By:
        """Label with the next measure that this run can tell."""
        place = ORDER.index(self.by)
        told = {"steps": True, "epochs": self._epochs_per_step > 0, "time": bool(self._clock and self._clock[-1] > 0)}
        self.by = next(by for by in (*ORDER[place + 1 :], *ORDER[: place + 1]) if told[by])
        return self.by

    def labels(self, first: float, last: float, count: int) -> list[tuple[float, str]]:
        """(step, label) for round values between two steps; the last label says what is counted."""
        if self.by == "epochs" and self._epochs_per_step:
            share = self._epochs_per_step
            found = [(value / share, number(value)) for value in ticks(Range(first * share, last * share), count)]
            return _with_unit(found, "epochs")
        if self.by == "time" and self._clock:
            return self._times(first, last, count)
        return _with_unit([(value, number(value)) for value in ticks(Range(first, last), count)], "steps")

    def _times(self, first: float, last: float, count: int) -> list[tuple[float, str]]:
        begin, end = self._seconds_at(first), self._seconds_at(last)
        grain = _round_seconds((end - begin) / max(1, count))
        place, found = int(begin // grain) * grain, []
        while place <= end:
            if place >= begin:
                found.append((self._step_at(place), time_label(place)))
            place += grain
        return found

    @property
    def _pace(self) -> float:
        """Seconds per step beyond what has happened."""
        return self._clock[-1] / max(1.0, self._steps[-1])

    def _seconds_at(self, step: float) -> float:
        if step >= self._steps[-1]:
            return self._clock[-1] + (step - self._steps[-1]) * self._pace
        index = bisect_left(self._steps, step)
        return self._clock[index - 1] if index else 0.0

    def _step_at(self, seconds: float) -> float:
        if seconds >= self._clock[-1]:
            return self._steps[-1] + (seconds - self._clock[-1]) / self._pace
        return self._steps[bisect_left(self._clock, seconds)] if seconds > 0 else 0.0


def _round_seconds(least: float) -> float:
    for seconds in ROUND_SECONDS:
        if seconds >= least:
            return float(seconds)
    return nice_step(least / _DAY, 1) * _DAY


def time_label(seconds: float) -> str:
    """`0`, `30 s`, `5 min`, `2 h`, `3 d`: one unit, as short as it can be."""
    if not seconds:
        return "0"
    for size, unit in ((_DAY, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds / 60:g} min" if seconds > 60 else f"{seconds:g} s"


def _with_unit(labels: list[tuple[float, str]], unit: str) -> list[tuple[float, str]]:
    return [*labels[:-1], (labels[-1][0], f"{labels[-1][1]} {unit}")] if labels else []
