"""The last guard before the terminal: no painted line carries a control character, whoever put it there.

Textual 8.2.8 sends the raw bytes of any string to the terminal (measured over 25 widget paths), so a row with an
escape sequence would act on the terminal of whoever looks at it. `tui.text.clean` makes such text readable where it
comes in; this filter stops what was forgotten. Return it last from `App.get_line_filters`.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.text import UNSAFE


class SafeFilter(LineFilter):
    """Replaces each unsafe character by a question mark, or by nothing when it takes no cell, so the layout holds."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same list when it is clean (the common case, under a microsecond), else a cleaned copy."""
        if not any(_is_unsafe(segment) for segment in segments):
            return segments
        return [_mended(segment) for segment in segments]


def _is_unsafe(segment: Segment) -> bool:
    if segment.control is not None or segment.text.isprintable():
        return False
    return UNSAFE.search(segment.text) is not None


def _mended(segment: Segment) -> Segment:
    if not _is_unsafe(segment):
        return segment
    return Segment(UNSAFE.sub(lambda match: "?" * cell_len(match.group()), segment.text), segment.style)
