"""The simulation behind the wizard: which method to simulate next, and what was found so far.

An estimate is there at once; a simulation takes seconds, so it runs beside the pages from the Method page on, one
method at a time, the one in force first. What was found is kept by its question: a value that is changed and changed
back costs nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tui.answers import Answers
from tui.steps.facts import Facts

if TYPE_CHECKING:
    from engine.plan.memory import Memory
    from engine.plan.plan import MethodPlan

FROM_STEPS = ("method", "settings", "review")
"""Earlier the answers still change too much."""


def simulation_question(answers: Answers, facts: Facts) -> str | None:
    """The next request to the job "simulate", as JSON; None when nothing is left to simulate or none can be."""
    plan, model = facts.plan.value, facts.model.value
    if plan is None or model is None or facts.plan.busy or answers.at not in FROM_STEPS or _hindrance(facts):
        return None
    in_force = facts.method(answers)
    names = [in_force] + [one.name for one in plan.methods if one.name != in_force and answers.at == "method"]
    questions = (_question(facts, one) for name in names if (one := facts.method_plan(name)) and one.available)
    return next((one for one in questions if one not in facts.simulated), None)


def request_of(question: str) -> dict[str, Any]:
    """The request that a question stands for."""
    request: dict[str, Any] = json.loads(question)
    return request


def take_in(facts: Facts, question: object, memory: Memory | None) -> None:
    """Keep what came of a simulation (None: it was not possible) and show it where it belongs."""
    facts.simulated[str(question)] = memory
    show_known(facts)


def show_known(facts: Facts) -> None:
    """Lay every simulation that is known over the estimates of the plan."""
    plan = facts.plan.value
    if plan is None or not facts.simulated or facts.model.value is None:
        return
    for method in plan.methods:
        memory = facts.simulated.get(_question(facts, method)) if method.memory.kind == "estimate" else None
        if memory is not None:
            plan = plan.with_memory(method.name, memory)
    facts.plan.value = plan


def _question(facts: Facts, method: MethodPlan) -> str:
    from engine.plan.asking import simulation_request

    machine, model = facts.machine.value, facts.model.value
    assert machine is not None and model is not None, "there is a plan, so both are known"
    return json.dumps(simulation_request(machine, model, method), sort_keys=True, default=str)


def _hindrance(facts: Facts) -> str:
    from engine.plan.asking import why_not_simulated

    return "" if facts.machine.value is None else why_not_simulated(facts.machine.value)
