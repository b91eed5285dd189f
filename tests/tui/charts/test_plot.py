"""Dots in cells: what is drawn, in every glyph set, and that drawing bit by bit gives the picture drawn at once."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.charts.decimate import Series
from tui.charts.glyphs import ASCII, BLOCKS, BRAILLE, GLYPH_SETS, GlyphSet, glyphs_for
from tui.charts.plot import MARK_BASE, Marks, Plot
from tui.charts.trace import Trace
from tui.charts.window import Window


def plot_of(*all_ys: list[float], glyphs: GlyphSet = BRAILLE) -> Plot:
    plot = Plot(glyphs)
    for number, ys in enumerate(all_ys):
        series = Series(str(number))
        series.extend(range(len(ys)), ys)
        plot.traces.append(Trace(series, "raw", ""))
    return plot


def texts(plot: Plot) -> list[str]:
    return [row.text for row in plot.rows]


@pytest.mark.parametrize("glyphs", GLYPH_SETS.values(), ids=lambda glyphs: glyphs.name)
def test_a_falling_line_goes_from_the_top_left_to_the_bottom_right(glyphs: GlyphSet) -> None:
    plot = plot_of([10.0 - x for x in range(11)], glyphs=glyphs)
    plot.draw(20, 6, 0, 10)
    assert plot.rows[0].text[0] != " "
    assert plot.rows[-1].text[-1] != " "
    assert plot.rows[0].text[-1] == plot.rows[-1].text[0] == " "


def test_a_line_has_no_holes() -> None:
    plot = plot_of([math.sin(x / 3) for x in range(40)])
    plot.draw(40, 10, 0, 39)
    for column in range(40):
        assert any(row.text[column] != " " for row in plot.rows)


def test_a_gap_breaks_the_line() -> None:
    plot = plot_of([1.0, 1.0, math.nan, 1.0, 1.0])
    plot.draw(40, 4, 0, 4)
    assert all(row.text[20] == " " for row in plot.rows)
    assert any(row.text[5] != " " for row in plot.rows)


def test_the_upper_trace_replaces_the_lower_one_in_shared_cells() -> None:
    plot = plot_of([0.0, 1.0] * 50, [0.5] * 100)
    plot.draw(20, 5, 0, 99)
    owners = [bytes(row.owners) for row in plot.rows]
    assert any(2 in row for row in owners)
    shared = next(row for row in plot.rows if 2 in row.owners)
    alone = plot_of([0.5] * 100)
    alone.y_pinned = (0.0, 1.0)
    alone.draw(20, 5, 0, 99)
    column = bytes(shared.owners).index(2)
    assert shared.text[column] in {row.text[column] for row in alone.rows}


def test_marks_stand_where_their_value_is() -> None:
    plot = plot_of([0.0, 10.0])
    plot.marks = [Marks("mark", "o", "evaluation", [(0.0, 10.0)])]
    plot.draw(10, 5, 0, 1)
    assert plot.rows[0].text[0] == "o"
    assert plot.rows[0].owners[0] == MARK_BASE


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_mark_without_a_number_stands_at_the_top(value: float) -> None:
    plot = plot_of([0.0, 1.0])
    plot.marks = [Marks("bad", "x", "", [(0.5, value)])]
    plot.draw(10, 5, 0, 1)
    assert plot.rows[0].text[5] == "x"


def test_a_logarithmic_axis_needs_values_above_zero() -> None:
    plot = plot_of([-1.0, -2.0])
    plot.log = True
    plot.draw(10, 5, 0, 1)
    assert plot.y_range is not None
    assert not plot.y_range.log


def test_a_zero_on_a_logarithmic_axis_lands_on_the_floor() -> None:
    plot = plot_of([0.0, 1.0, 10.0])
    plot.log = True
    plot.draw(10, 5, 0, 2)
    assert plot.y_range is not None
    assert plot.y_range.log
    assert plot.rows[-1].text[0] != " "


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(5, 50), st.integers(1, 9), st.booleans())
def test_a_picture_that_grew_is_the_picture_drawn_at_once(
    seed: int, bite: int, width: int, height: int, log: bool
) -> None:
    numbers = random.Random(seed)
    ys = [math.nan if numbers.random() < 0.02 else numbers.random() + 0.01 for _ in range(300)]
    growing = Plot(BRAILLE)
    series = [Series("a"), Series("b")]
    growing.traces = [Trace(one, "raw", "") for one in series]
    growing.log = log
    growing.y_pinned = (0.01, 1.01)
    for start in range(0, len(ys), bite):
        for x in range(start, min(len(ys), start + bite)):
            series[0].append(x, ys[x])
            series[1].append(x, 0.5 + x / 1_000)
        growing.draw(width, height, 0, 400)
    whole = plot_of(ys, [0.5 + x / 1_000 for x in range(len(ys))])
    whole.log, whole.y_range, whole.y_pinned = log, growing.y_range, growing.y_pinned
    whole.draw(width, height, 0, 400)
    assert texts(growing) == texts(whole)


def test_every_set_has_a_sign_for_each_combination_of_dots() -> None:
    for glyphs in GLYPH_SETS.values():
        assert len(glyphs.table) == 2 ** (glyphs.across * glyphs.down)
        assert len(set(glyphs.table)) == len(glyphs.table)


def test_the_ascii_set_is_ascii() -> None:
    signs = ASCII.table + "".join(value for value in vars(ASCII).values() if isinstance(value, str))
    assert signs.isascii()


def test_blocks_fill_the_quarters_they_stand_for() -> None:
    assert BLOCKS.table[BLOCKS.bit(0, 0) | BLOCKS.bit(1, 0)] == "\u2580"
    assert BLOCKS.table[BLOCKS.bit(0, 0) | BLOCKS.bit(0, 1)] == "\u258c"
    assert BRAILLE.table[BRAILLE.bit(0, 3)] == "\u2840"


def test_the_terminal_decides_on_the_signs() -> None:
    assert glyphs_for({}, "utf-8") is BRAILLE
    assert glyphs_for({"TERM": "linux"}, "utf-8") is BLOCKS
    assert glyphs_for({}, "ascii") is ASCII
    assert glyphs_for({"TUNEWRIGHT_GLYPHS": "blocks"}, "ascii") is BLOCKS


def test_the_whole_planned_axis_is_shown_and_does_not_move() -> None:
    window = Window()
    window.planned_end = 400
    assert window.bounds(1) == window.bounds(399) == (0, 400)


def test_a_run_without_a_planned_end_grows_in_large_steps() -> None:
    window = Window()
    ends = {window.bounds(float(newest))[1] for newest in range(1, 1_000)}
    assert len(ends) < 12
    assert window.bounds(999)[1] >= 999


def test_zoom_stays_where_it_is_and_follows_in_jumps() -> None:
    window = Window()
    window.planned_end = 1_000
    window.zoom(0.1, 500, newest=500)
    first = window.bounds(500)
    assert first[1] - first[0] == pytest.approx(100)
    assert window.bounds(520) == first
    assert window.bounds(700)[0] <= 700 <= window.bounds(700)[1]


def test_a_zoom_into_the_past_does_not_follow() -> None:
    window = Window()
    window.planned_end = 1_000
    window.zoom(0.1, 100, newest=500)
    assert window.bounds(900) == window.bounds(500)
    window.reset()
    assert window.bounds(500) == (0, 1_000)


@pytest.mark.parametrize("glyphs", GLYPH_SETS.values(), ids=lambda glyphs: glyphs.name)
def test_without_colour_the_band_is_a_shade_and_the_line_over_it_is_whole(glyphs: GlyphSet) -> None:
    noisy = [float(x % 7) for x in range(400)]
    plain, sparse = plot_of(noisy, glyphs=glyphs), plot_of(noisy, glyphs=glyphs)
    sparse.sparse_look = "raw"
    for plot in (plain, sparse):
        plot.draw(20, 6, 0, 399)
    inner = glyphs.table[glyphs.sparse]
    assert any(inner in row for row in texts(sparse)) and not any(inner in row for row in texts(plain))
    assert [bytes(row.owners) for row in sparse.rows] == [bytes(row.owners) for row in plain.rows]
    line = plot_of([3.0] * 400, glyphs=glyphs)
    line.draw(20, 6, 0, 399)
    before = texts(line)
    line.sparse_look = "raw"
    line._drawn = ()
    line.draw(20, 6, 0, 399)
    assert all(sign != " " for row, old in zip(texts(line), before, strict=True) for sign, was in
               zip(row, old, strict=True) if was != " ")  # fmt: skip
