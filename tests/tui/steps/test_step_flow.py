"""The order of the steps, their states, and what is checked again."""

from __future__ import annotations

import pytest

from engine.errors import UserError
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import flow


def status(answers: Answers, current: str) -> dict[str, str]:
    return {state.name: state.status for state in flow.states(answers, current)}


def test_every_step_loads_and_knows_its_name() -> None:
    for name in flow.ORDER:
        step = flow.step(name)
        assert step.name == name
        assert step.questions
        assert len(step.help) > 80


def test_before_and_after_walk_the_order() -> None:
    assert flow.after("machine") == "goal"
    assert flow.after("review") == "review"
    assert flow.before("goal") == "machine"
    assert flow.before("machine") is None


def test_a_fresh_wizard_is_all_to_do() -> None:
    assert status(Answers(), "machine") == {"machine": "current", **dict.fromkeys(flow.ORDER[1:], "todo")}


def test_a_changed_model_marks_what_was_answered_for_it_and_keeps_the_answers() -> None:
    answers = fakes.answers()
    answers.put("training.epochs", 2.0)
    for name in flow.ORDER[:-1]:
        flow.confirm(answers, name)
    assert flow.changed(answers, "model") == ["data", "method", "settings"]
    found = status(answers, "model")
    assert found["goal"] == "done"
    assert found["data"] == found["method"] == found["settings"] == "check"
    assert answers.check["data"] == "Model changed"
    assert answers.text("data.source") == "/data/orders.jsonl"
    assert answers.text("training.epochs") == "2.0"


def test_confirming_again_clears_the_mark() -> None:
    answers = fakes.answers()
    flow.confirm(answers, "data")
    flow.changed(answers, "model")
    flow.confirm(answers, "data")
    assert status(answers, "model")["data"] == "done"
    assert not answers.check


def test_a_step_that_was_never_confirmed_is_not_to_be_checked_again() -> None:
    assert flow.changed(fakes.answers(), "goal") == []


def test_jumping_ahead_shows_what_was_skipped_and_why() -> None:
    answers = Answers()
    answers.put("model.source", "/models/small")
    states = {state.name: state for state in flow.states(answers, "review")}
    assert states["method"].status == "skipped"
    assert "recommended" in states["method"].why
    assert states["goal"].status == "skipped"
    assert "no answer" in states["goal"].why
    assert states["model"].status == "done"


def test_a_step_that_turned_out_wrong_is_doubted() -> None:
    answers, facts = fakes.answers(), fakes.facts()
    flow.confirm(answers, "model")
    assert [state.status for state in flow.states(answers, "data", facts)][2] == "done"
    facts.model.problem = UserError("The folder is gone.")
    doubted = flow.states(answers, "data", facts)[2]
    assert (doubted.status, doubted.why) == ("check", "The folder is gone.")


@pytest.mark.parametrize("name", flow.ORDER)
def test_later_steps_come_later(name: str) -> None:
    for later in flow.step(name).later:
        assert flow.ORDER.index(later) > flow.ORDER.index(name)
