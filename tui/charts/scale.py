"""Axes: which numbers to write beside a chart, and how to place a value. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

LEAST_FILL = 0.6
"""A range is kept while the data fill at least this share of it, so that the picture does not jump at every point."""

ROUNDING = 1e-9
"""Values that differ by less than this share of themselves are the same number."""


@dataclass(frozen=True, slots=True)
class Range:
    """An interval of an axis in the units of the data; `log` says that positions are taken on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def position(self, value: float) -> float:
        """Where `value` lies: 0.0 at `low`, 1.0 at `high`; beyond them for values outside. Log needs `value` > 0."""
        if self.log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def holds(self, low: float, high: float) -> bool:
        """Whether data from `low` to `high` may be shown in this range without rescaling."""
        if low < self.low or high > self.high:
            return False
        if self.log:
            return log10(high / low) >= LEAST_FILL * log10(self.high / self.low) or self.high / self.low <= 10
        return (high - low) >= LEAST_FILL * (self.high - self.low)


def nice_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that divides `span` into at most `count` steps."""
    raw = span / max(1, count)
    if raw <= 0 or not isfinite(raw):
        return 1.0
    power = 10.0 ** floor(log10(raw))
    for factor in (1.0, 2.0, 5.0):
        if factor * power >= raw * (1 - 1e-9):
            return factor * power
    return 10.0 * power


def nice_range(low: float, high: float, log: bool = False) -> Range:
    """A range with round ends around the data. Equal ends are widened, and those that differ only by rounding (the
    average of a constant); log needs `low` > 0."""
    if log:
        return _nice_log_range(low, high)
    if high - low <= ROUNDING * max(abs(low), abs(high)):
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    step = nice_step(high - low, 10)
    return Range(floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step)


def _nice_log_range(low: float, high: float) -> Range:
    ends = _one_two_five(low, high)
    bottom = max((value for value in ends if value <= low * (1 + 1e-9)), default=low)
    top = min((value for value in ends if value >= high * (1 - 1e-9)), default=high)
    if top <= bottom:
        bottom, top = bottom / 2, top * 2
    return Range(bottom, top, log=True)


def _one_two_five(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten, from one at or below `low` to one at or above `high`."""
    first, last = floor(log10(low)), ceil(log10(high))
    return [factor * 10.0**power for power in range(first, last + 1) for factor in (1.0, 2.0, 5.0)]


def sticky_range(before: Range | None, low: float, high: float, log: bool = False) -> Range:
    """`before` while it still shows the data well, else a new nice range. Only a change redraws the whole chart."""
    if before is not None and before.log == log and before.holds(low, high):
        return before
    return nice_range(low, high, log)


def ticks(shown: Range, count: int) -> list[float]:
    """At most about `count` round values inside the range, in growing order."""
    if shown.log:
        return _log_ticks(shown, count)
    step = nice_step(shown.high - shown.low, count)
    first = ceil(shown.low / step - 1e-9)
    last = floor(shown.high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _log_ticks(shown: Range, count: int) -> list[float]:
    every = [
        value
        for value in _one_two_five(shown.low, shown.high)
        if shown.low * (1 - 1e-9) <= value <= shown.high * (1 + 1e-9)
    ]
    if len(every) <= count + 1:
        return every
    powers = [value for value in every if abs(log10(value) - round(log10(value))) < 1e-9]
    if len(powers) > count + 1:
        return powers[:: ceil(len(powers) / max(1, count))]
    return powers if len(powers) >= 2 else every[:: ceil(len(every) / max(1, count))]


def number(value: float) -> str:
    """A short label: `0.25`, `12`, `1.5k`, `2M`, `3e-5`; at most 7 characters for what occurs in training."""
    if not isfinite(value):
        return "no number"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e6:
        return f"{value / 1e6:.4g}M"
    if size >= 1e4:
        return f"{value / 1e3:.4g}k"
    if size >= 0.001:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
