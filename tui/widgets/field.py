"""A field for text: its label, the text, and below it what is wrong with it."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.events import Key
from textual.message import Message
from textual.widgets import Input

from tui.steps.option import Problem
from tui.widgets.plain import Plain
from tui.widgets.problem import problem_text


def typing_key(what: str, owner: str) -> Binding:
    """The key that leads from a list into the field above it."""
    words = f"Type {what} instead of choosing one. A path can be typed or pasted at once."
    return Binding("t", "type_text", f"Type {what}", tooltip=words, id=f"{owner}.type")


class PlainInput(Input):
    """An input without a blinking cursor (2.5 kB/s over the line), whose `?` asks for help instead of being typed."""

    TAKES_LETTERS = True
    """Keys that are letters are text here, not actions of the page."""

    def __init__(
        self, value: str = "", placeholder: str = "", *, password: bool = False, id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__(value, placeholder, password=password, select_on_focus=False, id=id)
        self.cursor_blink = False

    async def _on_key(self, event: Key) -> None:
        """Textual calls the base class's handler after this one, unless the default is prevented."""
        if event.key == "question_mark":  # it can still be pasted
            event.stop()
            event.prevent_default()
            await self.run_action("screen.explain")


class Field(Vertical):
    """Label, input and problem line. Posts `Submitted` for Enter and `Left` when the focus goes elsewhere."""

    class Submitted(Message):
        """Enter was pressed in the field."""

        def __init__(self, field: Field, text: str) -> None:
            self.field, self.text = field, text
            super().__init__()

        @property
        def control(self) -> Field:
            return self.field

    def __init__(self, label: str, value: str = "", placeholder: str = "", *, id: str | None = None) -> None:  # noqa: A002, E501
        super().__init__(id=id)
        self._label, self._first, self._placeholder = label, value, placeholder

    def compose(self) -> ComposeResult:
        yield Plain(self._label, classes="label")
        yield PlainInput(self._first, self._placeholder)
        problem = Plain("", classes="problem")
        problem.display = False
        yield problem

    @property
    def text(self) -> str:
        """What is typed now."""
        return self.query_one(PlainInput).value

    @text.setter
    def text(self, value: str) -> None:
        self.query_one(PlainInput).value = value

    def label(self, text: str) -> None:
        """Name the field anew."""
        self.query_one(".label", Plain).put(text)

    def show_problem(self, problem: Problem | None) -> None:
        """Show what is wrong below the text, or nothing."""
        line = self.query_one(".problem", Plain)
        line.put(problem_text(problem) if problem else "")
        line.display = problem is not None

    def focus_text(self) -> None:
        """Put the cursor behind the text."""
        text = self.query_one(PlainInput)
        text.focus()
        text.cursor_position = len(text.value)

    def submit(self) -> None:
        """As if Enter had been pressed in the field."""
        self.post_message(self.Submitted(self, self.text))

    @on(Input.Submitted)
    def _enter_pressed(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self, event.value))
