"""A long series kept so that drawing it costs the columns of the screen, not the points of the run.

Beside the points stands a pyramid of minima and maxima over blocks of 16, 256, ... points. The lowest and highest value
of any stretch is read from it exactly, so a single spike among a million steps stays visible. No numpy: importing it
would cost more than the whole first page.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

SHIFT = 4
BLOCK = 1 << SHIFT


@dataclass(frozen=True, slots=True)
class Column:
    """The points that fall into one pixel column: their lowest and highest value, and the first and last of them."""

    low: float
    high: float
    first: float
    last: float
    first_x: float
    last_x: float


class Series:
    """Points (x, y) with x never going back. A y that is not finite is no point but a gap at its x."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.xs = array("d")
        self.ys = array("d")
        self.gaps = array("d")
        self._lows: list[array[float]] = []
        self._highs: list[array[float]] = []
        self.restarts = 0  # how often the points were taken back; a view that cached columns starts anew then

    def __len__(self) -> int:
        return len(self.xs)

    def append(self, x: float, y: float) -> None:
        """Add one point; amortised constant time."""
        if not isfinite(y):
            self.gaps.append(x)
            return
        self.xs.append(x)
        self.ys.append(y)
        if not len(self.ys) & (BLOCK - 1):
            self._grow()

    def extend(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """Add many points; the two run in step. Much faster than one by one."""
        if isfinite(sum(ys)):
            self.xs.extend(xs)
            self.ys.extend(ys)
        else:
            for x, y in zip(xs, ys, strict=True):
                self.append(x, y)
        self._grow()

    def _grow(self) -> None:
        lows, highs, level = self.ys, self.ys, 0
        while len(lows) >= BLOCK:
            if level == len(self._lows):
                self._lows.append(array("d"))
                self._highs.append(array("d"))
            upper_lows, upper_highs = self._lows[level], self._highs[level]
            for start in range(len(upper_lows) << SHIFT, len(lows) - BLOCK + 1, BLOCK):
                upper_lows.append(min(lows[start : start + BLOCK]))
                upper_highs.append(max(highs[start : start + BLOCK]))
            lows, highs, level = upper_lows, upper_highs, level + 1

    def clear(self) -> None:
        """Take back every point: the run was rewound, or is shown another way."""
        self.restarts += 1
        for column in (self.xs, self.ys, self.gaps):
            del column[:]
        self._lows.clear()
        self._highs.clear()

    def extent(self, start: int, stop: int) -> tuple[float, float]:
        """The lowest and highest y of points `start` to `stop` - 1, exactly; (inf, -inf) when there is none."""
        low, high = inf, -inf
        lows, highs, level = self.ys, self.ys, 0
        while stop - start > 4 * BLOCK and level < len(self._lows):
            inner_start = -(-start >> SHIFT) << SHIFT
            inner_stop = min(stop >> SHIFT, len(self._lows[level])) << SHIFT
            if inner_stop <= inner_start:
                break
            if start < inner_start:
                low = min(low, min(lows[start:inner_start]))
                high = max(high, max(highs[start:inner_start]))
            if inner_stop < stop:
                low = min(low, min(lows[inner_stop:stop]))
                high = max(high, max(highs[inner_stop:stop]))
            start, stop = inner_start >> SHIFT, inner_stop >> SHIFT
            lows, highs, level = self._lows[level], self._highs[level], level + 1
        if start < stop:
            low = min(low, min(lows[start:stop]))
            high = max(high, max(highs[start:stop]))
        return low, high

    def nearest(self, x: float) -> int | None:
        """The index of the point closest to `x`; None when there is no point."""
        if not self.xs:
            return None
        right = bisect_left(self.xs, x)
        if right == 0:
            return 0
        if right == len(self.xs) or x - self.xs[right - 1] <= self.xs[right] - x:
            return right - 1
        return right


class ColumnView:
    """The columns of one series over a window; remembered, so that new points only cost the newest columns."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self.columns: list[Column | None] = []
        self._window = (0.0, 0.0)
        self._restarts = 0
        self._used = 0  # points of the series that are in `columns`

    def update(self, first_x: float, last_x: float, count: int) -> int:
        """Bring `columns` up to date for `count` columns over [first_x, last_x]; the first column that changed.

        Returns `count` when nothing changed, 0 when the window is new.
        """
        seen = (self._restarts, self._window, len(self.columns))
        stale = seen != (self.series.restarts, (first_x, last_x), count)
        if stale:
            self._window, self._restarts = (first_x, last_x), self.series.restarts
            self.columns = [None] * count
            self._used = 0
        points = len(self.series.xs)
        if points == self._used:
            return count if self._used or not stale else 0
        start = self._start_of_change(first_x, last_x, count)
        self._fill(start, first_x, last_x, count)
        self._used = points
        return start

    def _start_of_change(self, first_x: float, last_x: float, count: int) -> int:
        if not self._used:
            return 0
        x, width = self.series.xs[self._used], (last_x - first_x) / count
        start = max(0, min(count - 1, int((x - first_x) / width)))
        # the same rounding as in `_fill`: a point on an edge must not fall between two columns
        return start - 1 if start and x < first_x + start * width else start

    def _fill(self, start: int, first_x: float, last_x: float, count: int) -> None:
        xs, ys = self.series.xs, self.series.ys
        width = (last_x - first_x) / count
        left = bisect_left(xs, first_x + start * width)
        for column in range(start, count):
            if left >= len(xs):
                break
            edge = first_x + (column + 1) * width
            right = bisect_left(xs, edge, left) if column < count - 1 else bisect_right(xs, last_x, left)
            if right > left:
                low, high = (ys[left], ys[left]) if right - left == 1 else self.series.extent(left, right)
                self.columns[column] = Column(low, high, ys[left], ys[right - 1], xs[left], xs[right - 1])
                left = right


class Smoother:
    """Exponential moving average without the bias towards its start; only ever looks back.

    It must run over every point, before any decimation: smoothing decimated points changes with the zoom.
    """

    def __init__(self, weight: float = 0.95) -> None:
        """`weight` in [0, 1) is the share that the past keeps: 0.95 remembers about the last 20 points."""
        self.weight = weight
        self._sum = 0.0
        self._mass = 0.0

    def add(self, value: float) -> float:
        """The average after `value`; a value that is not finite leaves it as it was (NaN before the first)."""
        if isfinite(value):
            self._sum = self.weight * self._sum + (1 - self.weight) * value
            self._mass = self.weight * self._mass + (1 - self.weight)
        return self._sum / self._mass if self._mass else float("nan")


def smoothing_weight(total_points: int) -> float:
    """How strongly to smooth a run of so many points: about a fiftieth of it, between 3 and 500 points."""
    memory = min(500.0, max(3.0, total_points / 50))
    return 1 - 1 / memory
