"""The figures of a run as one PNG, drawn with Pillow: for a chat or a slide, where HTML cannot go."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.machine.packages import install_command
from tui.charts.scale import number, ticks
from tui.report.figure import Figure

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

SCALE = 2
"""Drawn at twice the size, so that it is sharp on today's screens."""
WIDTH, LOSS_HEIGHT, SMALL_HEIGHT, HEAD, FOOT, LEFT, GAP = 900, 320, 150, 26, 24, 60, 14
PAPER, INK, MUTED, GRID = "#ffffff", "#1f2328", "#6e7781", "#e5e7eb"
BAND, LINE, DOT, SAVED, WRONG = "#c9ddf2", "#1d4ed8", "#b45309", "#6e7781", "#b91c1c"


def png(heading: str, figures: Sequence[Figure]) -> bytes:
    """The first figure large, the others in two columns below. UserError when Pillow is not installed."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        fix = f"Install it with: {install_command('pillow')}; the HTML report needs nothing."
        raise UserError("The picture needs Pillow, which is not installed.", "report.png", fix) from error
    rows = len(figures) // 2
    height = HEAD + LOSS_HEIGHT + rows * (SMALL_HEIGHT + GAP) + GAP
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((GAP * SCALE, 6 * SCALE), heading, fill=INK, font=_font(14))
    for place, figure in enumerate(figures):
        _Panel(draw, figure, *_box(place)).draw()
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _box(place: int) -> tuple[float, float, float, float]:
    """Left, top, width and height of a figure."""
    if place == 0:
        return GAP, HEAD, WIDTH - 2 * GAP, LOSS_HEIGHT
    row, column = divmod(place - 1, 2)
    width = (WIDTH - 3 * GAP) / 2
    return GAP + column * (width + GAP), HEAD + LOSS_HEIGHT + GAP + row * (SMALL_HEIGHT + GAP), width, SMALL_HEIGHT


def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size * SCALE)


class _Panel:
    """One figure in its box."""

    def __init__(self, draw: ImageDraw, figure: Figure, left: float, top: float, width: float, height: float) -> None:
        self.draw_on, self.figure = draw, figure
        self.left, self.right = left + LEFT, left + width
        self.top, self.bottom = top + 20, top + height - FOOT
        self.head = (left, top)

    def at(self, x: float, y: float) -> tuple[float, float]:
        across, up = self.figure.x.position(x), self.figure.y.position(y)
        return ((self.left + across * (self.right - self.left)) * SCALE,
                (self.bottom - up * (self.bottom - self.top)) * SCALE)  # fmt: skip

    def draw(self) -> None:
        figure, pen = self.figure, self.draw_on
        unit = f" ({figure.unit})" if figure.unit else ""
        pen.text((self.head[0] * SCALE, self.head[1] * SCALE), figure.title + unit, fill=INK, font=_font(12))
        self._axes()
        if figure.band:
            upper = [self.at(x, high) for x, _, high in figure.band]
            lower = [self.at(x, low) for x, low, _ in reversed(figure.band)]
            pen.polygon(upper + lower, fill=BAND)
            pen.line(upper + lower, fill=BAND, width=SCALE)  # a band of one point a column has no area
        for step in figure.saved:
            self._upright(step, SAVED, 6)
        for step in (*figure.rewinds, *figure.gaps):
            self._upright(step, WRONG, self.bottom - self.top)
        pen.line([self.at(x, y) for x, y in figure.line], fill=LINE, width=2 * SCALE, joint="curve")
        for x, y in figure.dots:
            middle, radius = self.at(x, y), 4 * SCALE
            pen.ellipse((middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=DOT)

    def _axes(self) -> None:
        figure, pen, font = self.figure, self.draw_on, _font(10)
        for value in ticks(figure.y, 4):
            start, end = self.at(figure.x.low, value), self.at(figure.x.high, value)
            pen.line([start, end], fill=GRID, width=SCALE)
            pen.text((start[0] - 6 * SCALE, start[1]), number(value), fill=MUTED, font=font, anchor="rm")
        for value in ticks(figure.x, 6):
            foot = self.at(value, figure.y.low)
            pen.text((foot[0], foot[1] + 6 * SCALE), number(value), fill=MUTED, font=font, anchor="mt")

    def _upright(self, step: float, colour: str, height: float) -> None:
        if self.figure.x.low <= step <= self.figure.x.high:
            x, y = self.at(step, self.figure.y.low)
            self.draw_on.line([(x, y), (x, y - height * SCALE)], fill=colour, width=SCALE)
