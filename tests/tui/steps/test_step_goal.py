"""The Goal step: when to fine-tune at all, the alternatives, and the use case."""

from __future__ import annotations

import pytest

from engine.errors import UserError
from engine.plan.goals import GOALS
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import goal
from tui.steps.facts import Facts


def test_the_goals_are_the_ones_the_planner_knows() -> None:
    assert set(goal.TITLES) == set(GOALS)


def test_the_documented_alternatives_are_there() -> None:
    table = {(one.best_for, one.effort) for one in goal.APPROACHES}
    assert ("quick iterations", "low") in table
    assert ("dynamic knowledge", "medium") in table
    assert ("behaviour change", "high") in table
    assert ("large domain shift", "very high") in table


@pytest.mark.parametrize(("width", "lines"), [(78, 4), (52, 8)])
def test_the_alternatives_are_whole_at_any_width(width: int, lines: int) -> None:
    shown = goal.approach_lines(width)
    assert len(shown) == lines and max(map(len, shown)) <= width
    for one in goal.APPROACHES:
        assert one.name in " ".join(shown) and one.best_for in " ".join(" ".join(shown).split())


@pytest.mark.parametrize("name", ["domain", "style", "task", "rag"])
def test_the_documented_cases_speak_for_fine_tuning(name: str) -> None:
    answers = fakes.answers()
    goal.apply_need(answers, Facts(), name)
    found = goal.need(answers)
    assert found is not None and found.fits
    assert goal.validate(answers, Facts()) == []


@pytest.mark.parametrize(("name", "word"), [("facts", "RAG"), ("quick", "prompt")])
def test_who_needs_something_else_is_told_and_may_go_on(name: str, word: str) -> None:
    answers = fakes.answers()
    goal.apply_need(answers, Facts(), name)
    (problem,) = goal.validate(answers, Facts())
    assert word in problem.what
    assert "may still go on" in problem.what
    assert not problem.blocking


def test_a_use_case_is_needed() -> None:
    (problem,) = goal.validate(Answers(), Facts())
    assert problem.blocking


def test_an_unknown_use_case_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError) as failure:
        goal.apply_goal(Answers(), Facts(), "poetry")
    assert "structured" in failure.value.fix


def test_taking_the_same_again_keeps_its_source() -> None:
    answers = Answers()
    answers.put("goal", "chat", "recommended", "demo")
    goal.apply_goal(answers, Facts(), "chat")
    assert answers.values["goal"].source == "recommended"
    goal.apply_goal(answers, Facts(), "code")
    assert answers.values["goal"].source == "you"


@pytest.mark.parametrize(
    ("wanted", "result", "words"),
    [
        ("instruction", {"format": "text"}, "learns to go on with it"),
        ("text", {"format": "messages"}, "answers are learned"),
        ("chat", {"format": "classification"}, "later turns are not learned"),
        ("classification", {"format": "prompt_completion"}, "No labels were found"),
    ],
)
def test_rows_that_teach_something_else_are_said(wanted: str, result: dict[str, str], words: str) -> None:
    answers = fakes.answers()
    goal.apply_goal(answers, Facts(), wanted)
    (problem,) = goal.mismatches(answers, result)
    assert words in problem.what and not problem.blocking


@pytest.mark.parametrize(
    ("wanted", "result"),
    [
        ("instruction", {"format": "instruction"}), ("text", {"format": "text"}), ("chat", {"format": "messages"}),
        ("chat", {"format": "preference"}), ("classification", {"format": "prompt_completion", "labels": {"a": 3}}),
        ("structured", {"format": "classification"}), ("code", None),
    ],
)  # fmt: skip
def test_rows_that_suit_are_not_talked_about(wanted: str, result: dict[str, str] | None) -> None:
    answers = fakes.answers()
    goal.apply_goal(answers, Facts(), wanted)
    assert goal.mismatches(answers, result) == []
