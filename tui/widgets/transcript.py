"""One side of a conversation: questions and answers below each other, the last answer growing as it is written."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.text import clean


class Transcript(Vertical):
    """`ask` begins an exchange, `add` makes the answer grow, `paint` shows what came, `close` says how it ended."""

    DEFAULT_CSS = """
    Transcript { width: 1fr; height: 1fr; }
    Transcript > .title { height: 1; background: $panel; padding: 0 1; }
    Transcript > VerticalScroll { height: 1fr; padding: 0 1; }
    Transcript .asked { height: auto; color: $text-muted; margin-top: 1; }
    Transcript .answered { height: auto; }
    Transcript .told { height: auto; color: $text-muted; }
    Transcript .told.-right { color: $text-success; }
    """

    def __init__(self, title: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.title = title
        self.answer = ""
        self._painted = ""
        self._growing: Static | None = None

    def compose(self) -> ComposeResult:
        yield Static(self.title, classes="title", markup=False)
        yield VerticalScroll(can_focus=True)

    @property
    def scroll(self) -> VerticalScroll:
        """What holds the exchanges."""
        return self.query_one(VerticalScroll)

    def ask(self, question: str) -> None:
        """Begin an exchange."""
        self.answer = self._painted = ""
        self._growing = Static("", classes="answered", markup=False)
        self.scroll.mount(Static(f"> {clean(question)}", classes="asked", markup=False), self._growing)
        self.scroll.scroll_end(animate=False)

    def add(self, text: str) -> None:
        """More of the answer; shown at the next `paint`."""
        self.answer += text

    def paint(self) -> None:
        """Show what has come; nothing is sent when nothing came."""
        if self._growing is not None and self._painted != self.answer:
            self._painted = self.answer
            self._growing.update(Content(clean(self.answer)))
            self.scroll.scroll_end(animate=False)

    def close(self, note: str, right: bool = False) -> None:
        """The answer is complete; `right` says that it is the expected one."""
        self.paint()
        if self._growing is not None:
            self.scroll.mount(Static(note, classes="told -right" if right else "told", markup=False))
            self.scroll.scroll_end(animate=False)
        self._growing = None

    def call(self, title: str) -> None:
        """Say who answers here from now on."""
        self.title = title
        self.query_one(".title", Static).update(title)

    def clear(self) -> None:
        """Forget the conversation."""
        self.answer = self._painted = ""
        self._growing = None
        self.scroll.remove_children()
