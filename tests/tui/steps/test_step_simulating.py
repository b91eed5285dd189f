"""Which method is simulated next, and what becomes of the result."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engine.plan.memory import Memory
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps.facts import Facts
from tui.steps.simulating import request_of, show_known, simulation_question, take_in


@pytest.fixture(autouse=True)
def _all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.machine.packages.is_installed", lambda name: True)


def at(step: str) -> tuple[Answers, Facts]:
    answers = fakes.answers()
    answers.at = step
    return answers, fakes.facts()


def simulated(gib: float) -> Memory:
    size = int(gib * fakes.GIB)
    return Memory("simulation", size, size, size, {"weights": size}, exact=True)


def next_method(answers: Answers, facts: Facts) -> str:
    question = simulation_question(answers, facts)
    return "" if question is None else str(request_of(question)["settings"]["method.name"])


def test_nothing_is_simulated_before_the_method_page() -> None:
    for step in ("machine", "goal", "model", "data"):
        assert simulation_question(*at(step)) is None


def test_the_method_in_force_comes_first_and_the_others_follow() -> None:
    answers, facts = at("method")
    order = []
    while name := next_method(answers, facts):
        order.append(name)
        take_in(facts, simulation_question(answers, facts), simulated(5))
    assert order == ["lora", "qlora", "full"]
    assert facts.plan.value is not None
    assert {method.memory.kind for method in facts.plan.value.methods} == {"simulation"}


def test_on_later_pages_only_the_method_in_force_is_simulated() -> None:
    answers, facts = at("settings")
    assert next_method(answers, facts) == "lora"
    take_in(facts, simulation_question(answers, facts), simulated(5))
    assert simulation_question(answers, facts) is None


def test_a_simulation_is_judged_anew_and_the_estimate_is_kept() -> None:
    answers, facts = at("settings")
    before = facts.method_plan("lora")
    take_in(facts, simulation_question(answers, facts), simulated(40))
    after = facts.method_plan("lora")
    assert before is not None and after is not None
    assert before.fits and not after.fits and after.shortfall_bytes > 0
    assert after.estimate == before.memory and "Simulated" in after.reason


def test_what_cannot_be_simulated_stays_an_estimate_and_is_not_tried_again() -> None:
    answers, facts = at("settings")
    take_in(facts, simulation_question(answers, facts), None)
    assert simulation_question(answers, facts) is None
    plan = facts.method_plan("lora")
    assert plan is not None and plan.memory.kind == "estimate"


def test_a_plan_made_again_with_the_same_settings_shows_what_is_known() -> None:
    answers, facts = at("settings")
    take_in(facts, simulation_question(answers, facts), simulated(5))
    facts.plan.value = fakes.plan()
    show_known(facts)
    plan = facts.method_plan("lora")
    assert plan is not None and plan.memory.kind == "simulation"


def test_a_little_machine_is_left_in_peace() -> None:
    answers, facts = at("settings")
    assert facts.machine.value is not None
    host = replace(facts.machine.value.host, ram_available_bytes=fakes.GIB)
    facts.machine.value = replace(facts.machine.value, host=host)
    assert simulation_question(answers, facts) is None


def test_the_request_is_json_with_settings_device_and_capability() -> None:
    question = simulation_question(*at("settings"))
    assert question is not None
    request = json.loads(question)
    assert request["device"] == "cuda" and request["capability"] == [8, 9]
    assert request["model"] == "/models/small"
