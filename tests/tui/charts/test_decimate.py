"""Long series: exact extremes at any zoom, columns that only grow at their end, smoothing without bias."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tui.charts.decimate import ColumnView, Series, Smoother, smoothing_weight

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=700)


def series_of(ys: list[float]) -> Series:
    series = Series("loss")
    for x, y in enumerate(ys):
        series.append(x, y)
    return series


@settings(deadline=None)
@given(values, st.integers(0, 700), st.integers(0, 700))
def test_the_extremes_of_any_stretch_are_exact(ys: list[float], start: int, length: int) -> None:
    start = min(start, len(ys) - 1)
    stop = min(len(ys), start + length + 1)
    assert series_of(ys).extent(start, stop) == (min(ys[start:stop]), max(ys[start:stop]))


def test_a_single_spike_among_a_hundred_thousand_steps_is_seen() -> None:
    ys = [1.0] * 100_000
    ys[54_321] = 99.0
    view = ColumnView(series_of(ys))
    view.update(0, 100_000, 200)
    assert max(column.high for column in view.columns if column) == 99.0


def test_extending_gives_what_appending_gives() -> None:
    ys = [random.Random(1).random() for _ in range(5_000)]
    whole = Series("a")
    whole.extend(range(len(ys)), ys)
    assert whole.extent(17, 4_321) == series_of(ys).extent(17, 4_321)


def test_a_value_that_is_no_number_is_a_gap_and_no_point() -> None:
    series = series_of([1.0, math.nan, 3.0, math.inf])
    assert list(series.ys) == [1.0, 3.0]
    assert list(series.gaps) == [1.0, 3.0]


@settings(deadline=None)
@given(values, st.integers(1, 60), st.integers(1, 699))
def test_columns_filled_bit_by_bit_are_those_filled_at_once(ys: list[float], count: int, cut: int) -> None:
    growing = Series("a")
    view = ColumnView(growing)
    for x, y in enumerate(ys):
        growing.append(x, y)
        if x % cut == 0:
            view.update(0, 700, count)
    view.update(0, 700, count)
    fresh = ColumnView(series_of(ys))
    fresh.update(0, 700, count)
    assert view.columns == fresh.columns


def test_only_the_newest_columns_change_when_points_arrive() -> None:
    series = series_of([1.0] * 500)
    view = ColumnView(series)
    assert view.update(0, 1_000, 100) == 0
    assert view.update(0, 1_000, 100) == 100
    series.append(505, 2.0)
    assert view.update(0, 1_000, 100) == 50


def test_a_series_that_starts_anew_is_read_anew() -> None:
    series = series_of([5.0] * 40)
    view = ColumnView(series)
    view.update(0, 100, 10)
    series.clear()
    series.append(0, 1.0)
    assert view.update(0, 100, 10) == 0
    assert [column.high for column in view.columns if column] == [1.0]


def test_every_point_of_a_window_is_in_a_column_and_none_from_outside() -> None:
    view = ColumnView(series_of([float(x) for x in range(100)]))
    view.update(20, 40, 5)
    filled = [column for column in view.columns if column]
    assert (filled[0].low, filled[-1].high) == (20.0, 40.0)


def test_smoothing_starts_at_the_first_value_and_leaves_constants_alone() -> None:
    smoother = Smoother(0.99)
    assert all(math.isclose(smoother.add(3.0), 3.0) for _ in range(50))


def test_smoothing_ignores_what_is_no_number() -> None:
    smoother = Smoother(0.9)
    assert math.isnan(smoother.add(math.nan))
    smoother.add(2.0)
    assert math.isclose(smoother.add(math.inf), 2.0)


def test_smoothing_only_looks_back() -> None:
    first, second = Smoother(0.9), Smoother(0.9)
    assert [first.add(y) for y in (1, 2, 3)] == [second.add(y) for y in (1, 2, 3, 100)][:3]


def test_longer_runs_are_smoothed_more() -> None:
    assert smoothing_weight(100) < smoothing_weight(5_000) < 1
    assert smoothing_weight(10_000_000) == smoothing_weight(100_000)


def test_the_nearest_point_is_found() -> None:
    series = series_of([0.0] * 10)
    assert [series.nearest(x) for x in (-5, 3.4, 3.6, 99)] == [0, 3, 4, 9]
    assert Series("empty").nearest(1) is None
