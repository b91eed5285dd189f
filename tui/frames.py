"""Sends the terminal only what changed since the last frame, for lines that carry 10 kB a second.

Textual 8.2.8 sends the whole screen at every change of layout, and a page of the wizard changes its layout three to
five times: 16 to 22 kB at 80x24, 37 to 58 kB at 120x40. Here each piece of a line is remembered as it was sent, and a
piece that is there already is not sent again. Whatever may have put something else on the terminal (another size, a
stop by Ctrl+Z) makes it forget.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.screen import Screen

Piece = tuple[int, int, str]
"""A piece of a line as it was sent: its first cell, the cell behind its last, and the letters with their colours."""


class Sent:
    """What stands on the terminal, as far as it is known."""

    def __init__(self) -> None:
        self._lines: dict[int, list[Piece]] = {}
        self._size = (0, 0)

    def forget(self) -> None:
        """Nothing is known of the terminal any more, so that the next frame is sent whole."""
        self._lines.clear()

    def render(self, update: CompositorUpdate, console: Console) -> str:
        """The letters and escape sequences that bring the terminal to what `update` says."""
        if (console.width, console.height) != self._size:
            self.forget()
            self._size = (console.width, console.height)
        if isinstance(update, LayoutUpdate):
            pieces = _of_layout(update, console)
        elif isinstance(update, ChopsUpdate):
            pieces = _of_chops(update, console)
        else:
            self.forget()
            return update.render_segments(console)
        new = [(y, x, text) for y, (x, end, text) in pieces if self._is_new(y, (x, end, text))]
        return "".join(Control.move_to(x, y).segment.text + text for y, x, text in new)

    def _is_new(self, y: int, piece: Piece) -> bool:
        """Remember a piece in place of what it covers; False where it stands already."""
        line = self._lines.setdefault(y, [])
        if piece in line:
            return False
        x, end, _ = piece
        line[:] = [known for known in line if known[1] <= x or known[0] >= end]
        line.append(piece)
        return True


class ThriftyApp(App[str]):
    """An app that sends only what changed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._sent = Sent()

    def draw_again(self) -> None:
        """Paint everything anew."""
        self._sent.forget()
        self._display(self.screen, self.screen._compositor.render_update(full=True))

    def on_resize(self) -> None:
        """Another size, or back from Ctrl+Z: what the terminal shows is not known."""
        self._sent.forget()

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate):
            renderable = Changed(renderable, self._sent)
        super()._display(screen, renderable)


class Changed(CompositorUpdate):
    """An update in whose place only the new part of it is written. What is not written is not remembered."""

    def __init__(self, update: CompositorUpdate, sent: Sent) -> None:
        self._update, self._sent = update, sent

    def render_segments(self, console: Console) -> str:
        return self._sent.render(self._update, console)


def _of_layout(update: LayoutUpdate, console: Console) -> Iterator[tuple[int, Piece]]:
    for y, line in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in line:
            end = x + strip.cell_length
            yield y, (x, end, strip.render(console))
            x = end


def _of_chops(update: ChopsUpdate, console: Console) -> Iterator[tuple[int, Piece]]:
    """As `ChopsUpdate.render_segments` cuts them."""
    for y, first, last in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x > last or end <= first:
                continue
            if not (last > x >= first and end <= last):
                strip, end = strip.crop(0, min(end, last) - x), min(end, last)
            yield y, (x, x + strip.cell_length, strip.render(console))
