"""What the curves of a run look like, apart from how they are drawn: at most some hundred columns each, no run is too
long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from engine.runs.history import History
from tui.charts.decimate import Column, ColumnView, Series
from tui.charts.scale import Range, nice_range
from tui.watch.lines import CurveLine, LossLines

COLUMNS = 600
SMALL = (("lr", "Learning rate", ""), ("grad_norm", "Gradient norm", ""),
         ("tokens_per_second", "Tokens per second", ""), ("mem", "Memory", "GiB"))  # fmt: skip
GIB = 1 << 30


@dataclass(frozen=True)
class Figure:
    """One chart over optimizer steps. `band` holds (x, lowest, highest) of the raw values, `line` the course, `dots`
    the evaluations, `saved` the steps of checkpoints, `rewinds` the steps to which the run went back, `gaps` where the
    value was no number."""

    title: str
    unit: str
    x: Range
    y: Range
    line: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()
    dots: tuple[tuple[float, float], ...] = ()
    saved: tuple[float, ...] = ()
    rewinds: tuple[float, ...] = ()
    gaps: tuple[float, ...] = ()


def loss_figure(history: History) -> Figure | None:
    """The loss: raw band, smoothed course, evaluations, checkpoints. None before the second step."""
    lines = LossLines()
    lines.update(history)
    raw, smooth = _columns(lines.raw), _columns(lines.smooth)
    if len(raw) < 2:
        return None
    dots = tuple((x, y) for x, y in zip(history.evals.steps, history.evals.values, strict=True) if isfinite(y))
    values = [one.low for one in raw] + [one.high for one in raw] + [y for _, y in dots]
    return Figure(
        "Loss", "", _span(lines.raw), nice_range(min(values), max(values)),
        tuple((one.last_x, one.last) for one in smooth), tuple((one.last_x, one.low, one.high) for one in raw), dots,
        tuple(map(float, history.checkpoints)), tuple(map(float, history.rewinds)), tuple(lines.raw.gaps),
    )  # fmt: skip


def small_figures(history: History) -> list[Figure]:
    """Learning rate, gradient norm, speed and memory, as far as the run wrote them down."""
    found = []
    for name, title, unit in SMALL:
        line = CurveLine(name, 1 / GIB if unit == "GiB" else 1.0)
        line.update(history)
        columns = _columns(line.series)
        if len(columns) < 2:
            continue
        low, high = min(one.low for one in columns), max(one.high for one in columns)
        band = tuple((one.last_x, one.low, one.high) for one in columns)
        points = tuple((one.last_x, one.last) for one in columns)
        found.append(Figure(title, unit, _span(line.series), nice_range(low, high), points, band))
    return found


def _columns(series: Series) -> list[Column]:
    if len(series) < 2 or series.xs[-1] <= series.xs[0]:
        return []
    view = ColumnView(series)
    view.update(series.xs[0], series.xs[-1], COLUMNS)
    return [one for one in view.columns if one is not None]


def _span(series: Series) -> Range:
    return Range(series.xs[0], series.xs[-1])
