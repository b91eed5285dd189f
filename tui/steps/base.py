"""What a step of the wizard is. A step knows no screen: the app, the plain prompts and the flags all use the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tui.answers import Answers
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem

Options = Callable[[Answers, Facts], Sequence[Option]]
Apply = Callable[[Answers, Facts, str], None]


@dataclass(frozen=True)
class Question:
    """One question of a step.

    `apply` stores the answer and raises UserError when the text is none. `free` labels a field for text that is not
    among the options; empty means that only the options count.
    """

    key: str
    text: str
    options: Options
    apply: Apply
    free: str = ""
    help: str = ""

    def suggestion(self, answers: Answers, facts: Facts) -> str:
        """What plain Enter takes: the answer so far, else the recommended option, else the first."""
        known = answers.drafts.get(self.key) or answers.text(self.key)
        offered = self.options(answers, facts)
        if known or not offered:
            return known
        return next((option.value for option in offered if option.recommended), offered[0].value)


@dataclass(frozen=True)
class Step:
    """One page of the wizard.

    `later` names the steps whose answers were given with this one in mind; they are checked again when it changes.
    """

    name: str
    title: str
    question: str
    help: str
    questions: tuple[Question, ...]
    validate: Callable[[Answers, Facts], list[Problem]]
    summary: Callable[[Answers, Facts], str]
    later: tuple[str, ...] = ()
    keys: tuple[str, ...] = field(default=())
    """The answers that belong to this step."""
