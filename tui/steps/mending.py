"""The one change of an answer that mends what is wrong, for the key that does it."""

from __future__ import annotations

from tui.answers import Answers
from tui.steps import flow
from tui.steps.consequences import consequences
from tui.steps.facts import Facts
from tui.steps.option import Remedy


def first_remedy(answers: Answers, facts: Facts) -> Remedy | None:
    """For what is wrong with everything together, else with the step that the answers are at; None when nothing is."""
    found = consequences(answers, facts)
    problems = [found.problem] if found is not None and found.problem is not None else []
    problems += flow.step(answers.at).validate(answers, facts)
    return next((problem.remedy for problem in problems if problem.remedy is not None), None)


def mend(answers: Answers, remedy: Remedy) -> None:
    """Store the change, and mark the steps that hang on it."""
    answers.put(remedy.key, remedy.value, "you", "to make it fit")
    flow.changed(answers, "method" if remedy.key == "method.name" else "settings")
