"""Rows of text whose every cell has an owner, which gives it its look. Only the cells that changed are refreshed.

Textual sends every dirty region again whether it changed or not, so a chart that refreshed as a whole would cost
7 kB a frame at 120x40. This one compares the new rows with the shown ones (a few hundred bytes for a new point).
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.looks import Looks

OwnedRow = tuple[str, bytes]
"""The signs of a row, and for each of them the number of its owner; 0 is nobody's."""


class CellRows(Widget):
    """Call `show_rows` with a whole picture. `look_of` says how the cells of an owner look."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._strips: list[Strip] = []
        self._shown: list[OwnedRow] = []
        self._looks: Looks | None = None

    def look_of(self, owner: int) -> str:
        """The name of the look (tui.widgets.looks) of an owner's cells."""
        raise NotImplementedError

    def forget(self) -> None:
        """Nothing that was shown counts any more: the next picture is sent whole."""
        self._shown = []

    def show_nothing(self) -> None:
        """Show blanks."""
        self._strips, self._shown = [], []
        self.refresh()

    def show_rows(self, rows: list[OwnedRow]) -> None:
        """Show these rows; of those that are as many as before, only what differs is sent."""
        before, self._shown = self._shown, rows
        if len(before) != len(rows):
            self._strips = [self._strip(text, owners) for text, owners in rows]
            self.refresh()
            return
        regions = []
        for y, (old, new) in enumerate(zip(before, rows, strict=True)):
            if old != new:
                self._strips[y] = self._strip(*new)
                first, last = _changed_span(old, new)
                regions.append(Region(first, y, last - first + 1, 1))
        if regions:
            self.refresh(*regions)

    def _strip(self, text: str, owners: bytes) -> Strip:
        """One segment for each stretch of one look; blanks take the look before them, which saves bytes."""
        segments: list[Segment] = []
        start, look = 0, owners[0] if owners else 0
        for cell in range(1, len(text)):
            if owners[cell] != look and (text[cell] != " " or not owners[cell]):
                if text[cell] == " " and not owners[cell]:
                    continue
                segments.append(Segment(text[start:cell], self._style(look)))
                start, look = cell, owners[cell]
        segments.append(Segment(text[start:], self._style(look)))
        return Strip(segments, len(text))

    def _style(self, owner: int) -> Style:
        looks = self._looks = self._looks or Looks(self)
        return looks[self.look_of(owner)]

    def render_line(self, y: int) -> Strip:
        """One painted row; blank where nothing is shown."""
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def notify_style_update(self) -> None:
        """A theme changed: every strip holds old colours."""
        super().notify_style_update()
        self._looks = None
        if self._shown:
            self._strips = [self._strip(text, owners) for text, owners in self._shown]


def _changed_span(old: OwnedRow, new: OwnedRow) -> tuple[int, int]:
    """The first and last cell in which two rows differ."""
    (old_text, old_owners), (new_text, new_owners) = old, new
    length = min(len(old_text), len(new_text))
    first = 0
    while first < length and old_text[first] == new_text[first] and old_owners[first] == new_owners[first]:
        first += 1
    last = len(new_text) - 1
    if len(old_text) != len(new_text):
        return min(first, last), last
    while last > first and old_text[last] == new_text[last] and old_owners[last] == new_owners[last]:
        last -= 1
    return first, last
