"""A question over the page that one key answers: it says what each answer does, and Enter never takes the risky one."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static


class QuestionScreen(ModalScreen[bool]):
    """Ends with True for `y`, with False for anything else."""

    BINDINGS = [
        Binding("y", "answer(True)", "Yes", id="question.yes"),
        Binding("n,escape,q,enter", "answer(False)", "No", id="question.no"),
    ]
    CSS = """
    QuestionScreen { align: center middle; background: $background 60%; }
    QuestionScreen > Vertical { width: 70; max-width: 95%; height: auto; padding: 1 2; background: $panel; }
    QuestionScreen Static { height: auto; }
    """

    def __init__(self, question: str, consequence: str, yes: str, no: str) -> None:
        """`yes` and `no` say what each answer does, in a few words."""
        super().__init__()
        self.question, self.consequence, self.yes, self.no = question, consequence, yes, no

    def compose(self) -> ComposeResult:
        content = Content.assemble(
            (self.question, "bold"), f"\n\n{self.consequence}\n\n",
            (" y ", "bold $text-accent"), self.yes, "\n", (" n ", "bold $text-accent"), self.no,
        )  # fmt: skip
        with Vertical():
            yield Static(content, markup=False)

    def action_answer(self, answer: bool) -> None:
        """End with the answer."""
        self.dismiss(answer)
