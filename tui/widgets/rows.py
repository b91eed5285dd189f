"""A block of rows, each in several looks, of which only the changed ones are sent. For event lists and tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.looks import Looks

Piece = tuple[str, str]
"""Text and the name of its look: plain, strong, dim, good, warn, bad, key."""
Row = Sequence[Piece]


class Rows(Widget):
    """Shows rows from the top; what does not fit is cut. The caller cleans untrusted text."""

    DEFAULT_CSS = "Rows { width: 1fr; height: 1fr; }"

    def __init__(self, rows: Sequence[Row] = (), id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.rows: list[Row] = [list(row) for row in rows]
        self._strips: dict[int, Strip] = {}
        self._looks: Looks | None = None

    @property
    def text(self) -> str:
        """What the rows say, without their looks."""
        return "\n".join("".join(text for text, _ in row) for row in self.rows)

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; nothing is sent for those that stay the same."""
        fresh: list[Row] = [list(row) for row in rows]
        before, self.rows = self.rows, fresh
        changed = [y for y in range(max(len(before), len(fresh))) if before[y : y + 1] != fresh[y : y + 1]]
        for y in changed:
            self._strips.pop(y, None)
        if len(before) != len(fresh) and self.styles.auto_dimensions:
            self.refresh(layout=True)
        elif changed:
            self.refresh(*(Region(0, y, max(1, self.size.width), 1) for y in changed))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One cell for each row, for `height: auto`."""
        return len(self.rows)

    def render_line(self, y: int) -> Strip:
        """One painted row, filled up with blanks."""
        width = self.size.width
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != width:
            row = self.rows[y] if y < len(self.rows) else ()
            looks = self._looks = self._looks or Looks(self)
            segments = [Segment(text, looks[look]) for text, look in row]
            strip = self._strips[y] = Strip(segments).adjust_cell_length(width, looks.base)
        return strip

    def notify_style_update(self) -> None:
        """A theme changed: the rows hold old colours."""
        super().notify_style_update()
        self._strips.clear()
        self._looks = None


def wrapped(text: str, width: int, look: str = "plain", indent: str = "") -> list[Row]:
    """A paragraph as rows of at most `width` cells."""
    import textwrap

    lines = textwrap.wrap(text, max(10, width - len(indent))) or [""]
    return [[(indent + line, look)] for line in lines]
