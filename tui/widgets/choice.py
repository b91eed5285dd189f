"""A list of choices, each with its consequence below it. Enter takes the highlighted one."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.segment import Segment
from textual.binding import Binding
from textual.content import Content
from textual.geometry import Offset
from textual.strip import Strip
from textual.widgets import OptionList
from textual.widgets.option_list import Option as Entry

from tui.steps.option import Option
from tui.text import clean
from tui.widgets.marks import mark
from tui.widgets.mends import mend_option_list

mend_option_list()

PADDING = 4
"""Cells at the sides of a choice, as in app.tcss, and the scroll bar."""


def choice_text(option: Option, compact: bool = False, width: int = 0) -> Content:
    """One choice as it is painted: title, its mark and word, and the consequence below it, wrapped to `width` cells.

    The text is wrapped here, since a wrapped line of the list itself would lose its indent.
    """
    pieces: list[str | Content | tuple[str, str]] = [(clean(option.title), "bold")]
    if option.recommended:
        pieces.append(("  recommended", "$text-accent"))
    if option.mark:
        sign = {True: mark("good") + " ", False: mark("bad") + " ", None: ""}[option.good]
        style = {True: "$text-success", False: "$text-error", None: "$text-accent"}[option.good]
        pieces.append((f"  {sign}{clean(option.mark)}", style))
    if option.consequence and compact:
        head = Content.assemble(*pieces).cell_length + 2
        lines = wrap(clean(option.consequence), max(20, (width or 1000) - head))
        pieces.append(("  " + f"\n{' ' * head}".join(lines), "$text-muted"))
    elif option.consequence:
        pieces += [(f"\n{line}", "$text-muted") for line in _wrapped(clean(option.consequence), width)]
    return Content.assemble(*pieces)


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of `text` with an indent of two; a line that begins with a sign keeps it in front."""
    lines: list[str] = []
    for line in text.split("\n"):
        hanging = "    " if line[:2] in ("+ ", "- ") else "  "
        lines += wrap(line, width or 1000, initial_indent="  ", subsequent_indent=hanging) or [""]
    return lines


class ChoiceList(OptionList):
    """An option list that is filled from the pure `Option`s of a step."""

    BINDINGS = [
        Binding("enter", "select", "Take it", id="choice.take"),
        Binding("up,k", "cursor_up", "Up", show=False, id="choice.up"),
        Binding("down,j", "cursor_down", "Down", show=False, id="choice.down"),
    ]

    def __init__(self, *, compact: bool = False, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, markup=False)
        self._compact = compact
        self._shown: list[Option] = []
        self._width = 0

    def show(self, options: Sequence[Option], highlight: str = "") -> None:
        """Show `options`. The highlight goes to the value `highlight`, else stays where it was, else to the first."""
        before = highlight or self.value
        if list(options) != self._shown:
            self._shown = list(options)
            self._fill()
        values = [option.value for option in self._shown]
        if values:
            self.highlighted = values.index(before) if before in values else 0

    def _fill(self) -> None:
        self._width = max(0, self.content_size.width - PADDING)
        entries = [choice_text(option, self._compact, self._width) for option in self._shown]
        self.set_options([Entry(text, option.value) for text, option in zip(entries, self._shown, strict=True)])

    def on_resize(self) -> None:
        if self._width != self.content_size.width - PADDING:
            here = self.highlighted
            self._fill()
            self.highlighted = here

    def watch_highlighted(self, highlighted: int | None) -> None:
        super().watch_highlighted(highlighted)
        self.call_after_refresh(self._place_cursor)

    def on_focus(self) -> None:
        self.call_after_refresh(self._place_cursor)

    def _place_cursor(self) -> None:
        """Put the terminal's cursor on the highlighted line: screen readers and magnifiers follow it."""
        if self.has_focus and self.highlighted is not None:
            lines = [number for number, (index, _) in enumerate(self._lines) if index == self.highlighted]
            top = (lines[0] if lines else 0) - self.scroll_offset.y
            self.app.cursor_position = self.content_region.offset + Offset(0, max(0, top))

    def render_line(self, y: int) -> Strip:
        """A line with a sign before the highlighted choice, so that it is found without colours."""
        strip = super().render_line(y)
        line = self.scroll_offset.y + y
        if not self.has_focus or line >= len(self._lines) or self._lines[line] != (self.highlighted, 0):
            return strip
        style = next((segment.style for segment in strip), None)
        return Strip.join([Strip([Segment(mark("current"), style)], 1), strip.crop(1)])

    @property
    def value(self) -> str:
        """The value under the highlight; empty without one."""
        if self.highlighted is None or self.highlighted >= len(self._shown):
            return ""
        return self._shown[self.highlighted].value
