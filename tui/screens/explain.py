"""The page behind `?`: what the focused thing is, and the keys that work here."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from tui.widgets.plain import Plain


class ExplainScreen(ModalScreen[None]):
    """A text in a frame over the page. Esc, Enter or `?` close it."""

    BINDINGS = [
        Binding("escape,enter,question_mark,q,f1", "dismiss", "Close", id="explain.close"),
    ]

    def __init__(self, title: str, text: str, keys: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._title, self._text, self._keys = title, text, keys

    def compose(self) -> ComposeResult:
        pieces: list[tuple[str, str]] = [(self._title, "bold $text-accent"), (f"\n\n{self._text.strip()}\n", "")]
        if self._keys:
            width = max(len(key) for key, _ in self._keys)
            pieces.append(("\nKeys here\n", "bold"))
            for key, text in self._keys:
                pieces += [(f"  {key:<{width}}", "bold $text-accent"), (f"  {text}\n", "")]
        pieces.append(("\nEsc closes this.", "$text-muted"))
        with VerticalScroll(id="explain"):
            yield Plain(Content.assemble(*pieces))

    def on_mount(self) -> None:
        self.query_one("#explain").focus()
