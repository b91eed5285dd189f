"""What every page of the wizard has: its question, a list of choices, a line for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key, Paste
from textual.message import Message
from textual.timer import Timer
from textual.widgets import OptionList

from engine.errors import UserError
from tui.answers import Answers
from tui.screens.lookups import Lookups
from tui.steps import flow
from tui.steps.base import Question, Step
from tui.steps.facts import Facts
from tui.steps.option import Problem
from tui.widgets.choice import ChoiceList
from tui.widgets.field import Field, PlainInput
from tui.widgets.plain import Plain
from tui.widgets.problem import problem_text

PATH_BEGINS = ("/", "~", ".")
PAUSE_SECONDS = 0.3
"""Longer than the gaps inside a paste or a fast hand, shorter than a person's pause to look."""


class Page(Vertical):
    """A page. `Confirmed` asks the wizard to go on, `Changed` says that an answer of this step is another now."""

    NAME: ClassVar[str]
    COMPACT: ClassVar[bool] = False

    class Confirmed(Message):
        """The person is done with the page."""

    class Changed(Message):
        """An answer of this page changed."""

    def __init__(self, answers: Answers, lookups: Lookups) -> None:
        super().__init__(classes="page", id=f"page-{self.NAME}")
        self.answers, self.lookups = answers, lookups
        self._prepared = False
        self.step: Step = flow.step(self.NAME)

    @property
    def ready(self) -> bool:
        """Whether its widgets are there and may be painted: not before it is set up, nor while it is taken away."""
        return self._prepared

    def close(self) -> None:
        """The page is about to be taken away: its widgets go one by one, so nothing is painted from now on."""
        self._prepared = False

    @property
    def facts(self) -> Facts:
        return self.lookups.facts

    @property
    def question(self) -> Question:
        """The question that the page asks now."""
        return self.step.questions[0]

    @property
    def choices(self) -> ChoiceList:
        return self.query_one("#choices", ChoiceList)

    def compose(self) -> ComposeResult:
        yield Plain(self.step.question, classes="question")
        yield from self.compose_body()
        yield ChoiceList(compact=self.COMPACT, id="choices")
        yield Plain("", classes="problem", id="page-problem")

    def compose_body(self) -> ComposeResult:
        """What stands between the question and the choices."""
        yield from ()

    def on_mount(self) -> None:
        self.prepare()
        self.show_problem(None)
        self.show_facts()
        self.focus_first()
        self._prepared = True

    def prepare(self) -> None:
        """Set the page up before it is painted. (Textual calls the `on_mount` of every base class by itself.)"""

    def focus_first(self) -> None:
        """Put the focus where Enter is the common case."""
        self.choices.focus()

    def show_facts(self) -> None:
        """Paint what is known now. Called whenever a finding changes."""
        self.choices.show(self.question.options(self.answers, self.facts), self._highlight())

    def _highlight(self) -> str:
        """The choice to stand on: where the person is, else the suggestion."""
        return self.choices.value or self.question.suggestion(self.answers, self.facts)

    def keep(self) -> None:
        """Store text that is typed and not confirmed, so that it is here again when the person comes back."""

    def explanation(self) -> tuple[str, str]:
        """Title and text of what `?` shows."""
        return self.step.title, self.step.help

    def show_problem(self, problem: Problem | None) -> None:
        """Show what is wrong below the choices, or nothing."""
        line = self.query_one("#page-problem", Plain)
        line.display = problem is not None
        line.put(problem_text(problem) if problem else Content(""))

    def insist(self, problem: Problem) -> None:
        """The person went on although something is wrong: say it where it is seen."""
        self.show_problem(problem)

    def store(self, question: Question, text: str) -> bool:
        """Apply an answer; False, with the problem in sight, when it is none."""
        before = {key: self.answers.values.get(key) for key in self.step.keys}
        try:
            question.apply(self.answers, self.facts, text)
        except UserError as error:
            self.show_problem(Problem.of(error))
            return False
        self.show_problem(None)
        if _values(before) != _values({key: self.answers.values.get(key) for key in self.step.keys}):
            self.post_message(self.Changed())
        return True

    @on(OptionList.OptionSelected, "#choices")
    def _choice_taken(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.take(event.option.id or "")

    def take(self, value: str) -> None:
        """A choice was taken with Enter: store it and go on."""
        if self.store(self.question, value):
            self.post_message(self.Confirmed())


class SourcePage(Page):
    """A page whose answer can be typed into a field above the list as well as chosen from the list."""

    _typing = False
    _pause: Timer | None = None

    @property
    def field(self) -> Field:
        return self.query_one("#source", Field)

    def show_problem(self, problem: Problem | None) -> None:
        self.field.show_problem(problem)
        super().show_problem(None)

    def on_key(self, event: Key) -> None:
        """Take a path that is begun in the list, however fast it comes.

        Keys on their way when the first one arrives still go to the list, and as keys of the page they would search or
        leave it. So the page itself takes the letters until they pause, and only then hands the focus over.
        """
        if not self._typing and (isinstance(self.screen.focused, PlainInput) or event.character not in PATH_BEGINS):
            return
        if event.is_printable and event.character is not None:
            self._take(event.character)
        elif event.key == "backspace":
            self.field.text = self.field.text[:-1]
        elif event.key == "enter":
            self._hand_over()
            self.field.submit()
        else:
            self._hand_over()
            return
        event.stop()

    def on_paste(self, event: Paste) -> None:
        """What is pasted while the list has the focus is meant for the field."""
        event.stop()
        self.field.text = "".join(event.text.splitlines()[:1])
        self._hand_over()

    def _take(self, letter: str) -> None:
        self.field.text = self.field.text + letter if self._typing else letter
        if self._pause is not None:
            self._pause.stop()
        self._typing, self._pause = True, self.set_timer(PAUSE_SECONDS, self._hand_over)

    def _hand_over(self) -> None:
        if self._pause is not None:
            self._pause.stop()
        self._typing, self._pause = False, None
        if self.is_attached:
            self.field.focus_text()

    def action_type_text(self) -> None:
        """Go into the field."""
        self.field.focus_text()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters are text inside the field."""
        return not (action in ("search", "type_text") and isinstance(self.screen.focused, PlainInput))


def _values(answers: Mapping[str, object]) -> list[object]:
    return [getattr(answer, "value", None) for answer in answers.values()]
