"""A question before something that is hard to undo. With `typed` the person types a word first."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList

from tui.steps.option import Option, Problem
from tui.text import clean
from tui.widgets.choice import ChoiceList
from tui.widgets.field import Field
from tui.widgets.plain import Plain

YES, NO = "yes", "no"


class ConfirmScreen(ModalScreen[bool]):
    """Answers True only when the person was sure. Enter alone never is: the first choice is to leave it."""

    BINDINGS = [Binding("escape", "dismiss(False)", "Leave it", id="confirm.leave")]

    def __init__(self, title: str, text: str, action: str, typed: str = "") -> None:
        super().__init__()
        self._title, self._text, self._action, self._typed = title, text, action, typed

    def compose(self) -> ComposeResult:
        with Vertical(id="confirm"):
            head = Content.assemble((self._title, "bold $text-warning"), (f"\n\n{self._text}\n", ""))
            yield Plain(head)
            if self._typed:
                yield Field(f"Type {clean(self._typed)} and press Enter. Esc leaves it.", id="typed")
            else:
                yield ChoiceList(id="decision")

    def on_mount(self) -> None:
        if self._typed:
            field = self.query_one(Field)
            field.show_problem(None)
            field.focus_text()
        else:
            choices = self.query_one(ChoiceList)
            choices.show([Option(NO, "Leave it"), Option(YES, self._action)])
            choices.focus()

    @on(OptionList.OptionSelected)
    def _decided(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option.id == YES)

    @on(Field.Submitted)
    def _typed_word(self, event: Field.Submitted) -> None:
        event.stop()
        if event.text.strip() == self._typed:
            self.dismiss(True)
        else:
            event.field.show_problem(Problem("That is another name, so nothing was deleted.", fix="Esc leaves it."))
