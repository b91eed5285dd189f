"""Draws the cells of a pyte screen into a PNG, each glyph in its cell.

SVG converters distort Textual's output (fonts without braille, ignored text lengths), so pictures are drawn from cells.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pyte
from PIL import Image, ImageDraw, ImageFont

CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 9, 18, 15
FONTS = ("/usr/share/fonts/truetype/dejavu/DejaVuSansMono{}.ttf", "/usr/share/fonts/TTF/DejaVuSansMono{}.ttf")
INK, PAPER = "#d9d9d9", "#0c0c0c"
NAMED = {
    "black": "#0c0c0c", "red": "#cc5555", "green": "#98a84b", "brown": "#d0b344",
    "blue": "#608ab1", "magenta": "#98729f", "cyan": "#68a0b3", "white": "#d9d9d9",
    "brightblack": "#6e6e6e", "brightred": "#e07a7a", "brightgreen": "#b5c06a", "brightbrown": "#e6cd6a",
    "brightblue": "#86abcd", "brightmagenta": "#b592ba", "brightcyan": "#8fc2d0", "brightwhite": "#ffffff",
}  # fmt: skip
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
_QUADRANTS = {
    "\u2598": "a", "\u259d": "b", "\u2596": "c", "\u2597": "d", "\u2580": "ab", "\u2584": "cd", "\u258c": "ac",
    "\u2590": "bd", "\u259a": "ad", "\u259e": "bc", "\u259b": "abc", "\u259c": "abd", "\u2599": "acd", "\u259f": "bcd",
    "\u2588": "abcd",
}  # fmt: skip
_LINES = {
    "\u2502": "ud", "\u2500": "lr", "\u2514": "ur", "\u250c": "dr", "\u2510": "dl", "\u2518": "ul",
    "\u251c": "udr", "\u2524": "udl", "\u252c": "lrd", "\u2534": "lru", "\u253c": "udlr",
    "\u2501": "lr", "\u2503": "ud", "\u2577": "d", "\u2575": "u", "\u2574": "l", "\u2576": "r",
}  # fmt: skip


@functools.cache
def _font(bold: bool, scale: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for pattern in FONTS:
        path = Path(pattern.format("-Bold" if bold else ""))
        if path.exists():
            return ImageFont.truetype(str(path), FONT_SIZE * scale)
    return ImageFont.load_default()


def draw(screen: pyte.Screen, path: Path, scale: int = 1) -> None:
    """Write `screen` as a PNG of columns x 9 by rows x 18 pixels, times `scale`."""
    image = Image.new("RGB", (screen.columns * CELL_WIDTH * scale, screen.lines * CELL_HEIGHT * scale), PAPER)
    canvas = ImageDraw.Draw(image)
    for row in range(screen.lines):
        for column in range(screen.columns):
            _draw_cell(canvas, screen.buffer[row][column], column, row, scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def _draw_cell(canvas: ImageDraw.ImageDraw, cell: pyte.screens.Char, column: int, row: int, scale: int) -> None:
    ink, paper = _colour(cell.fg, INK), _colour(cell.bg, PAPER)
    if cell.reverse:
        ink, paper = paper, ink
    width, height = CELL_WIDTH * scale, CELL_HEIGHT * scale
    x, y = column * width, row * height
    canvas.rectangle([x, y, x + width - 1, y + height - 1], fill=paper)
    if not cell.data or cell.data == " ":
        return
    code = ord(cell.data[0])
    if 0x2800 <= code <= 0x28FF:
        _braille(canvas, code - 0x2800, x, y, ink, scale)
    elif cell.data in _QUADRANTS:
        _quadrants(canvas, _QUADRANTS[cell.data], x, y, ink, scale)
    elif 0x2581 <= code <= 0x2588:
        canvas.rectangle([x, y + height * (0x2588 - code) // 8, x + width - 1, y + height - 1], fill=ink)
    elif 0x2589 <= code <= 0x258F:
        canvas.rectangle([x, y, x + width * (0x2590 - code) // 8 - 1, y + height - 1], fill=ink)
    elif cell.data in _LINES:
        _lines(canvas, _LINES[cell.data], x, y, ink, scale)
    else:
        canvas.text((x, y), cell.data, font=_font(cell.bold, scale), fill=ink)
    if cell.underscore:
        canvas.line([x, y + height - 2 * scale, x + width, y + height - 2 * scale], fill=ink, width=scale)


def _colour(name: str, default: str) -> str:
    if name == "default":
        return default
    return NAMED.get(name) or (f"#{name}" if len(name) == 6 else default)


def _braille(canvas: ImageDraw.ImageDraw, bits: int, x: int, y: int, ink: str, scale: int) -> None:
    for bit, (across, down) in enumerate(_DOTS):
        if bits >> bit & 1:
            left, top = x + (2 + across * 4.5) * scale, y + (2 + down * 4.5) * scale
            canvas.rectangle([left, top, left + 2 * scale, top + 2 * scale], fill=ink)


def _quadrants(canvas: ImageDraw.ImageDraw, filled: str, x: int, y: int, ink: str, scale: int) -> None:
    width, height = CELL_WIDTH * scale, CELL_HEIGHT * scale
    half_x, half_y = (width + 1) // 2, height // 2
    boxes = {
        "a": (0, 0, half_x, half_y),
        "b": (half_x, 0, width, half_y),
        "c": (0, half_y, half_x, height),
        "d": (half_x, half_y, width, height),
    }
    for name in filled:
        left, top, right, bottom = boxes[name]
        canvas.rectangle([x + left, y + top, x + right - 1, y + bottom - 1], fill=ink)


def _lines(canvas: ImageDraw.ImageDraw, arms: str, x: int, y: int, ink: str, scale: int) -> None:
    width, height = CELL_WIDTH * scale, CELL_HEIGHT * scale
    middle_x, middle_y = x + width // 2, y + height // 2
    ends = {"u": (middle_x, y), "d": (middle_x, y + height), "l": (x, middle_y), "r": (x + width, middle_y)}
    for arm in arms:
        canvas.line([(middle_x, middle_y), ends[arm]], fill=ink, width=scale)
