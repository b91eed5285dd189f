"""From the history of a run to the series of its charts: appends what is new, starts anew after a rewind."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import isfinite

from engine.runs.history import Curve, History
from tui.charts.decimate import Series, Smoother, smoothing_weight


class LossLines:
    """The loss of each step, its smoothed course, and where the loss was not a number."""

    def __init__(self) -> None:
        self.raw = Series("loss")
        self.smooth = Series("smoothed loss")
        self._smoother = Smoother()
        self._mirror = Mirror(self._add, self._restart)
        self._total = 0

    def update(self, history: History) -> bool:
        """Take in new steps; whether there were any. The strength of smoothing follows the planned length."""
        if history.total_steps != self._total:
            self._total = history.total_steps
            self._mirror.forget()
        return self._mirror.update(history.loss, len(history.rewinds))

    def _restart(self) -> None:
        self.raw.clear()
        self.smooth.clear()
        self._smoother = Smoother(smoothing_weight(self._total))

    def _add(self, steps: array[float], values: array[float]) -> None:
        smooth = self._smoother.add
        self.raw.extend(steps, values)
        self.smooth.extend(steps, [smooth(value) if isfinite(value) else value for value in values])


class Mirror:
    """Hands the new points of a curve on, once; calls `restart` first when the curve was taken back."""

    def __init__(self, add: Callable[[array[float], array[float]], None], restart: Callable[[], None]) -> None:
        self._add = add
        self._restart = restart
        self.forget()

    def forget(self) -> None:
        """Start anew at the next update."""
        self._taken = 0
        self._last_step = -1.0
        self._rewinds = 0
        self._fresh = True

    def update(self, curve: Curve, rewinds: int) -> bool:
        """Whether anything changed. `rewinds` counts how often the run went back."""
        taken_back = self._taken > len(curve) or (self._taken and curve.steps[self._taken - 1] != self._last_step)
        if self._fresh or taken_back or rewinds != self._rewinds:
            self.forget()
            self._rewinds, self._fresh = rewinds, False
            self._restart()
        elif self._taken == len(curve):
            return False
        self._add(curve.steps[self._taken :], curve.values[self._taken :])
        self._taken = len(curve)
        self._last_step = curve.steps[-1] if self._taken else -1.0
        return True


class CurveLine:
    """One curve of the history as a series, each value times `factor`."""

    def __init__(self, name: str, factor: float = 1.0) -> None:
        self.name = name
        self.factor = factor
        self.series = Series(name)
        self._mirror = Mirror(self._add, self.series.clear)

    def _add(self, steps: array[float], values: array[float]) -> None:
        if self.factor != 1.0:
            values = array("d", [value * self.factor for value in values])
        self.series.extend(steps, values)

    def update(self, history: History) -> bool:
        """Take in new steps; whether there were any."""
        return self._mirror.update(history.curves[self.name], len(history.rewinds))
