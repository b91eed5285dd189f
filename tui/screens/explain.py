"""The page behind `?`: what the focused thing is, and the keys that work here."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from tui.widgets.plain import Plain

NARROWEST = 20
"""Cells below which the words about a key are not wrapped any more."""


class ExplainScreen(ModalScreen[None]):
    """A text in a frame over the page. Esc, Enter or `?` close it."""

    BINDINGS = [
        Binding("escape,enter,question_mark,q,f1", "dismiss", "Close", id="explain.close"),
    ]

    def __init__(self, title: str, text: str, keys: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._title, self._text, self._keys = title, text, keys

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="explain"):
            yield Plain(self._page(NARROWEST))

    def on_mount(self) -> None:
        self.query_one("#explain").focus()
        self.call_after_refresh(self._wrap)

    def on_resize(self) -> None:
        self.call_after_refresh(self._wrap)

    def _wrap(self) -> None:
        """The words about a key are wrapped here, since the text itself would go on below the keys."""
        if self.is_mounted:
            self.query_one(Plain).put(self._page(self.query_one(Plain).content_size.width))

    def _page(self, width: int) -> Content:
        pieces: list[tuple[str, str]] = [(self._title, "bold $text-accent"), (f"\n\n{self._text.strip()}\n", "")]
        if self._keys:
            column = max(len(key) for key, _ in self._keys)
            pieces.append(("\nKeys here\n", "bold"))
            for key, text in self._keys:
                lines = wrap(text, max(NARROWEST, width - column - 4))
                words = f"\n{' ' * (column + 4)}".join(lines)
                pieces += [(f"  {key:<{column}}", "bold $text-accent"), (f"  {words}\n", "")]
        pieces.append(("\nEsc closes this.", "$text-muted"))
        return Content.assemble(*pieces)
