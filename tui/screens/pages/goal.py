"""The Goal page: whether to fine-tune at all, then the use case. One question after the other."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content

from tui.screens.pages.base import Page
from tui.steps import goal as step
from tui.steps.base import Question
from tui.widgets.plain import Plain

PADDING = 2
"""Cells at the sides of the text, as in wizard.tcss."""


class GoalPage(Page):
    """Enter answers the first question, a second Enter the other. A known answer is highlighted."""

    NAME = "goal"

    def compose_body(self) -> ComposeResult:
        self._asking = 1 if self.answers.text("goal") else 0
        yield Plain("", id="advice")

    @property
    def question(self) -> Question:
        return self.step.questions[self._asking]

    def show_facts(self) -> None:
        self.query_one(".question", Plain).put(self.question.text)
        self.query_one("#advice", Plain).put(self._advice())
        self.choices.show(self.question.options(self.answers, self.facts), self._highlight())

    def on_resize(self) -> None:
        """The alternatives are laid out for the width."""
        self.query_one("#advice", Plain).put(self._advice())

    def _highlight(self) -> str:
        offered = [option.value for option in self.question.options(self.answers, self.facts)]
        here = self.choices.value
        return here if here in offered else self.question.suggestion(self.answers, self.facts)

    def take(self, value: str) -> None:
        if self._asking == 0:
            if self.store(self.question, value):
                self.ask(1)
            return
        super().take(value)

    def ask(self, number: int) -> None:
        """Show the first (0) or the second (1) question."""
        self._asking = number
        self.show_facts()

    def step_back(self) -> bool:
        """From the second question back to the first; False on the first."""
        if self._asking == 0 or not self.answers.text("need"):
            return False
        self.ask(0)
        return True

    def _advice(self) -> Content:
        if self._asking == 0:
            lines = [f"{line}\n" for line in step.approach_lines(self.size.width - PADDING)]
            head = ("Four ways to a better answer, the cheapest first:\n", "bold")
            return Content.assemble(head, *((line, "$text-muted") for line in lines))
        need = step.need(self.answers)
        if need is None:
            return Content("")
        return Content.assemble((need.advice, "$text-success" if need.fits else "$text-warning"))
