"""The Method step: all three with need and fit; any can be chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import UserError
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import method
from tui.steps.facts import Facts


def test_all_three_are_offered_with_need_and_fit() -> None:
    qlora, lora, full = method.options(Answers(), fakes.facts())
    assert [option.value for option in (qlora, lora, full)] == ["qlora", "lora", "full"]
    assert lora.recommended and not qlora.recommended
    assert lora.consequence == "it fits About 10 min."
    assert full.good is False
    assert full.mark == "17.0 GiB too much"


def test_without_a_plan_they_are_still_explained() -> None:
    assert all(option.consequence and option.good is None for option in method.options(Answers(), Facts()))


def test_taking_the_recommended_one_keeps_it_recommended() -> None:
    answers, facts = Answers(), fakes.facts()
    method.apply(answers, facts, "lora")
    assert answers.values["method.name"].source == "recommended"
    method.apply(answers, facts, "full")
    assert answers.values["method.name"].source == "you"


def test_one_that_does_not_fit_may_be_chosen_and_says_what_would_mend_it() -> None:
    answers, facts = Answers(), fakes.facts()
    method.apply(answers, facts, "full")
    (problem,) = method.validate(answers, facts)
    assert "does not fit" in problem.what
    assert not problem.blocking
    assert problem.remedy is not None and (problem.remedy.key, problem.remedy.value) == ("method.name", "lora")


def test_one_that_cannot_be_used_at_all_may_not_be_chosen() -> None:
    answers, facts = Answers(), fakes.facts()
    assert facts.plan.value is not None
    plans = tuple(replace(plan, available=plan.name != "full", reason="Already in 4 bits.", fits=plan.name != "full")
                  for plan in facts.plan.value.methods)  # fmt: skip
    facts.plan.value = replace(facts.plan.value, methods=plans)
    method.apply(answers, facts, "full")
    (problem,) = method.validate(answers, facts)
    assert problem.blocking and "cannot be used here: Already in 4 bits." in problem.what
    assert problem.remedy is not None and problem.remedy.value == "lora"


def test_when_nothing_fits_no_method_is_offered_as_a_cure() -> None:
    facts = fakes.facts()
    facts.plan.value = fakes.plan(qlora=50, lora=60, full=90, recommended="qlora")
    (problem,) = method.validate(Answers(), facts)
    assert problem.remedy is None
    assert "smaller model" in problem.fix


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UserError):
        method.apply(Answers(), Facts(), "magic")


def test_the_method_in_force_is_the_chosen_or_the_recommended_one() -> None:
    answers, facts = Answers(), fakes.facts()
    assert facts.method(answers) == "lora"
    answers.put("method.name", "qlora")
    assert facts.method(answers) == "qlora"
    assert Facts().method(Answers()) == ""
