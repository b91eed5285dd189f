"""Axes: round numbers, ranges that hold still, labels that fit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.charts.axis import GUTTER, bottom_axis, left_axis, plain_labels
from tui.charts.glyphs import ASCII, BRAILLE
from tui.charts.scale import Range, nice_range, nice_step, number, sticky_range, ticks

finite = st.floats(-1e9, 1e9, allow_nan=False, allow_infinity=False)


def test_steps_are_one_two_or_five_times_a_power_of_ten() -> None:
    assert [nice_step(span, 5) for span in (1, 3, 7, 10, 0.04)] == [0.2, 1, 2, 2, 0.01]


@settings(deadline=None)
@given(low=finite, span=st.floats(1e-3, 1e9))
def test_a_nice_range_holds_its_data(low: float, span: float) -> None:
    shown = nice_range(low, low + span)
    slack = 1e-6 * max(abs(shown.low), abs(shown.high), span)
    assert shown.low <= low + slack
    assert shown.high >= low + span - slack


@settings(deadline=None)
@given(low=st.floats(1e-9, 1e6), factor=st.floats(1.0, 1e9))
def test_a_logarithmic_range_holds_its_data(low: float, factor: float) -> None:
    shown = nice_range(low, low * factor, log=True)
    assert shown.low <= low * (1 + 1e-6)
    assert shown.high >= low * factor * (1 - 1e-6)
    assert shown.low < shown.high


def test_equal_values_get_a_range_around_them() -> None:
    shown = nice_range(2.0, 2.0)
    assert shown.low < 2.0 < shown.high


def test_a_range_is_kept_while_the_data_fill_it() -> None:
    first = sticky_range(None, 0.5, 3.0)
    assert sticky_range(first, 0.6, 2.9) is first


def test_a_range_changes_when_data_leave_it_or_shrink() -> None:
    first = sticky_range(None, 0.5, 3.0)
    assert sticky_range(first, 0.5, 5.0).high >= 5.0
    assert sticky_range(first, 0.5, 0.9).high < first.high


def test_a_range_changes_with_the_kind_of_axis() -> None:
    linear = sticky_range(None, 0.5, 3.0)
    assert sticky_range(linear, 0.5, 3.0, log=True).log


def test_ticks_are_round_and_inside() -> None:
    assert ticks(Range(0, 400), 5) == [0, 100, 200, 300, 400]
    assert ticks(Range(0.13, 0.42), 3) == [0.2, 0.3, 0.4]


def test_logarithmic_ticks_are_one_two_five() -> None:
    assert ticks(Range(0.5, 5, log=True), 4) == [0.5, 1, 2, 5]
    assert ticks(Range(1e-4, 1e2, log=True), 6) == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (12, "12"),
        (12_500, "12.5k"),
        (2_000_000, "2M"),
        (2e-5, "2e-5"),
        (1.5e-4, "1.5e-4"),
        (math.nan, "no number"),
        (-math.inf, "no number"),
    ],
)
def test_labels_are_short(value: float, text: str) -> None:
    assert number(value) == text


@settings(deadline=None)
@given(st.floats(1e-9, 1e9))
def test_a_label_fits_the_gutter(value: float) -> None:
    assert len(number(float(f"{value:.3g}"))) <= GUTTER


def test_the_left_axis_has_a_row_for_each_cell() -> None:
    rows = left_axis(BRAILLE, Range(0, 3), 12)
    assert len(rows) == 12
    assert all(len(row) == GUTTER for row in rows)
    assert any(row.split()[0] == "3" for row in rows if row.strip("\u2502 "))


def test_the_bottom_axis_says_what_it_counts_and_shows_marks() -> None:
    axis = bottom_axis(ASCII, 60, 0, 400, [(200, "^")], plain_labels("steps"))
    assert axis.labels.rstrip().endswith("400 steps")
    assert axis.line[GUTTER + 30] == "^"
    assert len(axis.line) == len(axis.labels) == GUTTER + 60


def test_a_position_is_a_share_of_the_range() -> None:
    assert Range(2, 4).position(3) == 0.5
    assert math.isclose(Range(1, 100, log=True).position(10), 0.5)


ONCE = 0.48384374380111694
ALMOST = math.nextafter(ONCE, 0)


@pytest.mark.parametrize(("low", "high"), [(ALMOST, ONCE), (0.5, 0.5), (-ONCE, -ALMOST), (0.0, 0.0)])
def test_an_average_of_a_constant_has_a_range_that_can_be_drawn(low: float, high: float) -> None:
    """The first losses of KTO are alike; their average is the same but for the last bit, which no axis can show."""
    found = nice_range(low, high)
    assert found.low < low <= high < found.high and 0 <= found.position(low) <= 1
