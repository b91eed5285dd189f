"""Scroll bars where only ASCII can be shown."""

from __future__ import annotations

from textual.scrollbar import ScrollBarRender


def end_in_whole_cells() -> None:
    """Textual ends a bar with eighths of a block, which ASCII lacks. For the whole process."""
    ScrollBarRender.VERTICAL_BARS = ScrollBarRender.HORIZONTAL_BARS = [" "] * 8
