"""Many lines of text to scroll through; only those in sight are painted. Follows its end until scrolled up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.looks import Looks
from tui.widgets.rows import Row

KEPT_LINES = 20_000


class TextLines(ScrollView, can_focus=True):
    """`add` appends rows; `filter` hides those without the wanted words. The caller cleans untrusted text."""

    DEFAULT_CSS = "TextLines { width: 1fr; height: 1fr; }"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.lines: deque[Row] = deque(maxlen=KEPT_LINES)
        self.shown: list[Row] = []
        self.wanted = ""
        self.following = True
        self._looks: Looks | None = None

    def add(self, rows: Iterable[Row]) -> None:
        """Append rows; the oldest are dropped beyond 20,000."""
        fresh = [list(row) for row in rows]
        if not fresh:
            return
        full = len(self.lines) + len(fresh) > KEPT_LINES
        self.lines.extend(fresh)
        self.shown = self._wanted_lines() if full else [*self.shown, *(row for row in fresh if self._is_wanted(row))]
        self._resize()

    def clear(self) -> None:
        """Forget everything."""
        self.lines.clear()
        self.shown = []
        self._resize()

    def filter(self, words: str) -> None:
        """Show only rows that hold `words`, in any case; everything for an empty text."""
        self.wanted = words.casefold()
        self.shown = self._wanted_lines()
        self._resize()

    def _wanted_lines(self) -> list[Row]:
        return [row for row in self.lines if self._is_wanted(row)]

    def _is_wanted(self, row: Row) -> bool:
        return not self.wanted or self.wanted in _text(row).casefold()

    def _resize(self) -> None:
        widest = max((len(_text(row)) for row in self.shown[-2_000:]), default=0)
        self.virtual_size = Size(max(widest, self.virtual_size.width if self.shown else 0), len(self.shown))
        if self.following:
            self.scroll_end(animate=False, immediate=True)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up stops following; coming back to the end starts it again."""
        super().watch_scroll_y(old_value, new_value)
        self.following = new_value >= self.max_scroll_y

    def jump(self, look: str) -> bool:
        """Scroll to the next row below with a piece of this look, starting over at the end; whether there is one."""
        start = int(self.scroll_y) + 1
        order = [*range(start, len(self.shown)), *range(0, min(start, len(self.shown)))]
        found = next((y for y in order if any(piece[1] == look for piece in self.shown[y])), None)
        if found is not None:
            self.following = False
            self.scroll_to(y=found, animate=False, immediate=True)
        return found is not None

    def render_line(self, y: int) -> Strip:
        """One row in sight."""
        left, top = self.scroll_offset
        if top + y >= len(self.shown):
            return Strip.blank(self.size.width, self.rich_style)
        row = self.shown[top + y]
        looks = self._looks = self._looks or Looks(self)
        strip = Strip([Segment(text, looks[look]) for text, look in row])
        return strip.crop_extend(left, left + self.size.width, looks.base)

    def notify_style_update(self) -> None:
        """A theme changed."""
        super().notify_style_update()
        self._looks = None


def _text(row: Row) -> str:
    return "".join(text for text, _ in row)
