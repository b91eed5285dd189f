"""Finds out what the answers of the plain wizard mean, one thing after the other, while the person waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from engine.errors import UserError
from tui.answers import Answers
from tui.plain_console import Console
from tui.steps import looking
from tui.steps.facts import Facts, Found

T = TypeVar("T")


def find_out(answers: Answers, facts: Facts, console: Console) -> None:
    """Look up whatever the answers ask for and `facts` does not hold yet. What cannot be found is kept as a problem."""
    _settle(facts.machine, looking.machine_question(answers), lambda: looking.look_at_machine(answers))
    _settle(facts.model, looking.model_question(answers), lambda: looking.look_at_model(answers))
    _settle(facts.data, looking.data_question(answers, facts), lambda: _inspect(answers, facts, console))
    _settle(facts.plan, looking.plan_question(answers, facts), lambda: looking.make_plan(answers, facts))


def _inspect(answers: Answers, facts: Facts, console: Console) -> dict[str, Any]:
    from tui.jobs import run_job

    console.say("Reading the data.")
    return run_job("data", looking.data_request(answers, facts))


def _settle(found: Found[T], question: object, work: Callable[[], T]) -> None:
    if not found.ask(question):
        return
    try:
        found.settle(question, work())
    except UserError as error:
        found.settle(question, None, error)
