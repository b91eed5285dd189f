"""A figure as SVG, to stand inside an HTML page: its colours are classes of that page, so that it follows its theme."""

from __future__ import annotations

from html import escape

from tui.charts.scale import number, ticks
from tui.report.figure import Figure

LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 26


def svg(figure: Figure, width: int = 900, height: int = 300) -> str:
    """The figure in a box of `width` x `height` units that scales with the page."""
    plot = _Plot(figure, width, height)
    parts = [*plot.axes(), *plot.marks()]
    if figure.band:
        edge = [(x, high) for x, _, high in figure.band] + [(x, low) for x, low, _ in reversed(figure.band)]
        parts.append(f'<polygon class="band" points="{plot.points(edge)}"/>')
    parts.append(f'<polyline class="line" points="{plot.points(figure.line)}"/>')
    parts += [f'<circle class="dot" cx="{plot.x(x):.1f}" cy="{plot.y(y):.1f}" r="3.5"/>' for x, y in figure.dots]
    title = escape(f"{figure.title} over optimizer steps")
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


class _Plot:
    """Where a value of the figure lies in the box."""

    def __init__(self, figure: Figure, width: int, height: int) -> None:
        self.figure = figure
        self.right, self.bottom = width - RIGHT, height - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + self.figure.x.position(value) * (self.right - LEFT)

    def y(self, value: float) -> float:
        return self.bottom - self.figure.y.position(value) * (self.bottom - TOP)

    def points(self, values: list[tuple[float, float]] | tuple[tuple[float, float], ...]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in values)

    def axes(self) -> list[str]:
        found = []
        for value in ticks(self.figure.y, 5):
            y = self.y(value)
            found.append(f'<line class="grid" x1="{LEFT}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            found.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(number(value))}</text>')
        for value in ticks(self.figure.x, 8):
            x = self.x(value)
            label = escape(number(value))
            found.append(f'<text x="{x:.1f}" y="{self.bottom + 17}" text-anchor="middle">{label}</text>')
        return found

    def marks(self) -> list[str]:
        """Checkpoints as ticks at the foot, rewinds and values that were no number as lines from top to bottom."""
        inside = [step for step in self.figure.saved if self.figure.x.low <= step <= self.figure.x.high]
        found = [self._upright("saved", step, self.bottom - 6) for step in inside]
        for name, steps in (("rewind", self.figure.rewinds), ("gap", self.figure.gaps)):
            found += [self._upright(name, step, TOP) for step in steps
                      if self.figure.x.low <= step <= self.figure.x.high]  # fmt: skip
        return found

    def _upright(self, name: str, step: float, top: float) -> str:
        x = self.x(step)
        return f'<line class="{name}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{self.bottom}"/>'
