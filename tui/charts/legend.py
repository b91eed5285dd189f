"""The row above a chart: what is drawn and its newest values, or the values under the reading cursor in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.charts.glyphs import GlyphSet
from tui.charts.plot import Marks
from tui.charts.scale import number
from tui.charts.trace import Trace

Run = tuple[str, str]
"""A piece of text and the name of its look."""


def legend(
    title: str,
    glyphs: GlyphSet,
    traces: Sequence[Trace],
    marks: Sequence[Marks],
    signs: Mapping[str, str],
    extra: Sequence[str],
    sparse_look: str = "",
) -> list[Run]:
    """The name, each trace with its newest value, each kind of mark, the signs on the axis, and further remarks."""
    band = glyphs.table[glyphs.sparse] if sparse_look == "raw" else glyphs.band_key
    runs: list[Run] = [(f" {title}  ", "title")]
    for trace in traces:
        newest = f" {digits(trace.series.ys[-1])}" if len(trace.series) else ""
        runs.append((band if trace.look == "raw" else glyphs.line_key, trace.look))
        runs.append((f" {trace.label}{newest}  " if trace.label else f"{newest}  ", "axis"))
    for kind in marks:
        if kind.points and kind.label:
            runs += [(kind.sign, kind.look), (f" {kind.label} {digits(kind.points[-1][1])}  ", "axis")]
    runs += [(f"{sign} {label}  ", "axis") for label, sign in signs.items() if label]
    runs += [(f"{words}  ", "axis") for words in extra]
    return runs


def reading(x: float, unit: str, title: str, traces: Sequence[Trace], marks: Sequence[Marks]) -> list[Run]:
    """`step 1,200: each step 0.43  smoothed 0.51  evaluation 0.6`: the values at the points nearest to `x`."""
    place = f"{unit.removesuffix('s')} {x:,.6g}" if unit else f"{x:,.6g}"
    runs: list[Run] = [(f" {place}: ", "cursor")]
    for trace in traces:
        index = trace.series.nearest(x)
        if index is not None:
            runs.append((f"{trace.label or title} {digits(trace.series.ys[index])}  ", trace.look))
    for kind in marks:
        here = [y for mark_x, y in kind.points if mark_x == x]
        if here and kind.label:
            runs.append((f"{kind.label} {digits(here[-1])}  ", kind.look))
    return runs


def digits(value: float) -> str:
    """A value as it is read aloud: four significant digits."""
    return number(float(f"{value:.4g}"))
