"""Scroll bars where only ASCII can be shown."""

from __future__ import annotations

from textual.scrollbar import ScrollBarRender

ENDS = ScrollBarRender.VERTICAL_BARS, ScrollBarRender.HORIZONTAL_BARS
WHOLE_CELLS = [" "] * 8


def draw_in_whole_cells(wanted: bool) -> None:
    """Textual ends a bar with eighths of a block, which ASCII lacks. For the whole process."""
    vertical, horizontal = (WHOLE_CELLS, WHOLE_CELLS) if wanted else ENDS
    ScrollBarRender.VERTICAL_BARS, ScrollBarRender.HORIZONTAL_BARS = vertical, horizontal
