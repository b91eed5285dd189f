"""The order of the steps and how they depend on each other: the one place that says what to check again.

Going back is always allowed. A changed answer marks the later steps that were given with it in mind; their old values
stay as suggestions, and confirming the step again clears the mark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Literal

from tui.answers import Answers
from tui.steps.base import Step
from tui.steps.facts import Facts
from tui.steps.option import Problem

ORDER = ("machine", "goal", "model", "data", "method", "settings", "review")
TITLES = {name: name.capitalize() for name in ORDER}
NEEDED = ("goal", "model", "data")
"""Three answers are enough; the other steps have recommended values."""
STEP_KEYS = {"goal": ("goal",), "model": ("model.source",), "data": ("data.source",)}

Status = Literal["done", "current", "check", "skipped", "todo"]


@dataclass(frozen=True)
class StepState:
    """One line of the list of steps. `why` explains "check" and "skipped"."""

    number: int
    name: str
    title: str
    status: Status
    why: str = ""


def step(name: str) -> Step:
    """The step called `name`. Its module is imported only now, so that the first page shows early."""
    found = import_module(f"tui.steps.{name}").STEP
    assert isinstance(found, Step)
    return found


def confirm(answers: Answers, name: str) -> None:
    """The person confirmed the page: it is done and needs no second look."""
    answers.done.add(name)
    answers.check.pop(name, None)


def changed(answers: Answers, name: str) -> list[str]:
    """An answer of `name` changed: mark the later steps that were confirmed before. Returns their names."""
    affected = [later for later in step(name).later if later in answers.done]
    for later in affected:
        answers.done.discard(later)
    for later in affected:
        answers.check[later] = f"{TITLES[name]} changed"
    return affected


def after(name: str) -> str:
    """The step behind `name`; the last one stays."""
    return ORDER[min(ORDER.index(name) + 1, len(ORDER) - 1)]


def before(name: str) -> str | None:
    """The step ahead of `name`; None for the first."""
    place = ORDER.index(name)
    return ORDER[place - 1] if place else None


def states(answers: Answers, current: str, facts: Facts | None = None) -> list[StepState]:
    """Every step with its state, in order. With `facts` a step that turned out to be wrong is to be checked again."""
    found = [_state(answers, current, number, name) for number, name in enumerate(ORDER, 1)]
    return found if facts is None else [_doubted(state, answers, facts) for state in found]


def _doubted(state: StepState, answers: Answers, facts: Facts) -> StepState:
    if state.status != "done" or state.name in ("machine", "review"):  # a pretended machine is no mistake
        return state
    wrong = [one for one in step(state.name).validate(answers, facts) if one.blocking and not one.waiting]
    return replace(state, status="check", why=wrong[0].what) if wrong else state


def _state(answers: Answers, current: str, number: int, name: str) -> StepState:
    title = TITLES[name]
    why = answers.check.get(name, "")
    if name == current:
        return StepState(number, name, title, "current", why)
    if why:
        return StepState(number, name, title, "check", why)
    if name in answers.done:
        return StepState(number, name, title, "done")
    passed = any(later in answers.done or later == current for later in ORDER[number:])
    if passed and name not in NEEDED:
        return StepState(number, name, title, "skipped", "recommended values")
    if passed and missing(answers, name):
        return StepState(number, name, title, "skipped", "no answer yet")
    return StepState(number, name, title, "done" if passed else "todo")


def missing(answers: Answers, name: str) -> bool:
    """Whether a needed step has no answer."""
    return any(not answers.text(key) for key in STEP_KEYS.get(name, ()))


def problems(answers: Answers, facts: Facts) -> list[tuple[str, Problem]]:
    """Everything that is wrong before the review, with the step it belongs to."""
    found: list[tuple[str, Problem]] = []
    for name in ORDER[:-1]:
        found.extend((name, problem) for problem in step(name).validate(answers, facts))
    return found
