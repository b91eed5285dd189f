"""How long a run still takes: a range, and only once there is something to measure. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

LEAST_STEPS = 10
"""Before this many steps the first ones (warm-up, compilation, caches) decide the mean, so nothing is promised."""

LEAST_SECONDS = 5.0
WINDOW = 100
"""Steps whose pace stands for what comes."""


@dataclass(frozen=True)
class Left:
    """Seconds that a run still takes, at least and at most."""

    low_seconds: float
    high_seconds: float


class Pace:
    """The moments of the last steps, by the engine's clock. Evaluations and checkpoints between steps count in."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._first: tuple[int, float] | None = None

    def add(self, step: int, moment_seconds: float) -> None:
        """Note that `step` ended at `moment_seconds`. One that goes back starts anew: the run was resumed."""
        if self._marks and (step <= self._marks[-1][0] or moment_seconds < self._marks[-1][1]):
            self._marks.clear()
            self._first = None
        if self._first is None:
            self._first = (step, moment_seconds)
        self._marks.append((step, moment_seconds))

    def left(self, total_steps: int) -> Left | None:
        """The time for the rest of `total_steps`; None while it would be a guess, and when nothing is left."""
        if self._first is None or len(self._marks) < 2:
            return None
        step, moment = self._marks[-1]
        steps, seconds = step - self._first[0], moment - self._first[1]
        if steps < LEAST_STEPS or seconds < LEAST_SECONDS or step >= total_steps:
            return None
        paces = [seconds / steps, self._pace(len(self._marks)), self._pace(max(2, len(self._marks) // 4))]
        rest = total_steps - step
        uncertain = 1 + 1 / steps**0.5  # few steps say little about the next thousand
        return Left(rest * min(paces) / (1 + (uncertain - 1) / 2), rest * max(paces) * (1 + (uncertain - 1) / 2))

    def _pace(self, marks: int) -> float:
        """Seconds per step over the last `marks` marks."""
        first, last = self._marks[-marks], self._marks[-1]
        return (last[1] - first[1]) / max(1, last[0] - first[0])


_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_ROUND = {"s": 10, "min": 1, "h": 0.5, "d": 0.5}


def left_words(left: Left | None) -> str:
    """`about 3 min left`, `2 to 4 min left`, `40 s to 2 min left`; empty when nothing is known."""
    if left is None:
        return ""
    low, low_unit = _rounded(left.low_seconds)
    high, high_unit = _rounded(left.high_seconds)
    if high_unit == "s" and high <= 10:
        return "under 10 s left"
    if (low, low_unit) == (high, high_unit):
        return f"about {high:g} {high_unit} left"
    if low_unit == high_unit:
        return f"{low:g} to {high:g} {high_unit} left"
    return f"{low:g} {low_unit} to {high:g} {high_unit} left"


def _rounded(seconds: float) -> tuple[float, str]:
    """The time in a unit in which it is a small number, rounded as a person would say it."""
    for unit_seconds, unit in _UNITS:
        if seconds >= 1.5 * unit_seconds or unit == "s":
            grain = _ROUND[unit]
            if unit == "min" and seconds >= 20 * 60:
                grain = 5
            return max(grain, round(seconds / unit_seconds / grain) * grain), unit
    raise AssertionError("the last unit takes everything")
