"""Finds out what the answers mean, in the background: the machine, the model, the data, then the plan.

Each thing is looked up when its question changes, the newest question wins, and the wizard is told with one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual.screen import Screen

from engine.errors import UserError
from tui.answers import Answers
from tui.screens.background import in_thread, start
from tui.screens.mishap import unexpected
from tui.steps import looking
from tui.steps.facts import Facts, Found
from tui.steps.simulating import request_of, show_known, simulation_question, take_in

REST_SECONDS = 0.7
"""A value that is changed key by key starts one simulation, not one for each key."""


async def inspect_data(answers: Answers, facts: Facts) -> dict[str, Any]:
    """The data job in a child process that ends with this worker. The first rows are told before the end."""
    from tui.async_job import AsyncJob

    asked = facts.data.asked
    async with AsyncJob("data", looking.data_request(answers, facts)) as job:
        async for message in job.messages():
            if "result" in message:
                return dict(message["result"])
            if "early" in message and facts.data.asked == asked:
                facts.data.early = dict(message["early"])
                facts.tell()
        raise job.died()


async def find_machine(answers: Answers, facts: Facts) -> Any:
    return await in_thread(partial(looking.look_at_machine, answers))


async def find_model(answers: Answers, facts: Facts) -> Any:
    return await in_thread(partial(looking.look_at_model, answers))


async def plan(answers: Answers, facts: Facts) -> Any:
    return await in_thread(partial(looking.make_plan, answers, facts))


async def find_remedy(answers: Answers, facts: Facts) -> Any:
    from tui.steps import needs

    return await in_thread(partial(needs.find_remedy, answers, facts))


async def simulate(answers: Answers, facts: Facts) -> Any:
    """The simulation of one method in a child process, once the answers have rested for a moment."""
    from engine.plan.memory import memory_of
    from tui.async_job import AsyncJob

    request = request_of(str(facts.simulation.asked))
    await asyncio.sleep(REST_SECONDS)
    async with AsyncJob("simulate", request) as job:
        return memory_of((await job.result())["memory"])


Looker = Callable[[Answers, Facts], Awaitable[Any]]


@dataclass
class Lookers:
    """How each thing is looked up; tests put others in."""

    machine: Looker = find_machine
    model: Looker = find_model
    data: Looker = inspect_data
    plan: Looker = plan
    remedy: Looker = find_remedy
    simulation: Looker = simulate


LOOKERS = Lookers()


class Lookups:
    """Keeps `facts` true to `answers`. `told` is called on the event loop whenever a finding changes."""

    WORDS = {"machine": "Looking at the machine", "model": "Looking up the model", "data": "Reading the data",
             "plan": "Working out what fits", "remedy": "Looking for what would make it fit",
             "simulation": "Simulating a step"}  # fmt: skip

    def __init__(self, screen: Screen[Any], answers: Answers, told: Callable[[], None]) -> None:
        self._screen, self._answers, self._told = screen, answers, told
        self.facts = Facts(tell=told)
        self.columns: list[str] = []
        """The columns of the data as last read: they stay known while another way to read them fails."""

    @property
    def busy(self) -> list[str]:
        """What is being looked up now, in words."""
        return [words for name, words in self.WORDS.items() if getattr(self.facts, name).busy]

    def refresh(self) -> None:
        """Start to look up whatever the answers now ask for."""
        facts, answers = self.facts, self._answers
        self._ask("machine", facts.machine, looking.machine_question(answers))
        self._ask("model", facts.model, looking.model_question(answers))
        if not facts.model.busy:  # the model renders the rows, so it comes first
            question = looking.data_question(answers, facts)
            self._ask("data", facts.data, question, keep=_same_rows(facts.data.asked, question))
        self._ask("plan", facts.plan, looking.plan_question(answers, facts), keep=True)
        self._ask("remedy", facts.remedy, looking.remedy_question(answers, facts))
        self._ask("simulation", facts.simulation, simulation_question(answers, facts))

    def forget(self, name: str) -> None:
        """Look a thing up again although its question is the same."""
        getattr(self.facts, name).ask(None)

    def _ask(self, name: str, found: Found[Any], question: object, keep: bool = False) -> None:
        if found.ask(question, keep):
            start(self._screen, partial(self._look, name, found, question), f"look-{name}")

    async def _look(self, name: str, found: Found[Any], question: object) -> None:
        value, problem = None, None
        try:
            value = await getattr(LOOKERS, name)(self._answers.snapshot(), self.facts)
        except UserError as error:
            problem = error
        except Exception as error:
            problem = unexpected(error, self.WORDS[name])
        if name == "simulation":  # true for its question, also when something else is asked by now
            take_in(self.facts, question, value)
        if found.settle(question, value, problem):
            if name == "data" and value is not None:
                self.columns = list(value.get("columns", ()))
            if name == "plan":
                show_known(self.facts)
            self.refresh()
            self._told()


def _same_rows(before: object, now: object) -> bool:
    """Whether two questions about data differ only in how its rows are shown."""
    return isinstance(before, tuple) and isinstance(now, tuple) and before[:-1] == now[:-1]
