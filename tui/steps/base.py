"""What a step of the wizard is. A step knows no screen: the app, the plain prompts and the flags all use the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.errors import UserError
from engine.recipe_keys import Value
from tui.answers import Answers
from tui.steps.facts import Facts


@dataclass(frozen=True)
class Option:
    """One thing that can be chosen, with what follows from it in one line."""

    value: str
    title: str
    consequence: str = ""
    mark: str = ""
    """A word or two at the right: "fits", "needs 9 GB more"."""
    good: bool | None = None
    """Whether `mark` is good news; None is neither."""
    recommended: bool = False


@dataclass(frozen=True)
class Remedy:
    """One change that would mend a problem: set `key` to `value`."""

    label: str
    key: str
    value: Value


@dataclass(frozen=True)
class Problem:
    """What is wrong with a step, in the shape of a UserError. Only a blocking one keeps a run from starting."""

    what: str
    where: str = ""
    fix: str = ""
    blocking: bool = True
    remedy: Remedy | None = None
    waiting: bool = False
    """Whether it is only not known yet; a person may go on meanwhile."""

    @classmethod
    def of(cls, error: UserError, remedy: Remedy | None = None) -> Problem:
        return cls(error.what, error.where, error.fix, remedy=remedy)


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
