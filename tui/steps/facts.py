"""What was found out about the answers: the machine, the model, the data and the plan. Looked up, never saved.

Each finding remembers what it was asked, so that an answer that comes late, after the question changed, is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from engine.answer import Answer
from engine.errors import UserError
from tui.answers import Answers

if TYPE_CHECKING:
    from engine.machine.detect import Machine
    from engine.models.find import ModelFiles
    from engine.plan.memory import Memory
    from engine.plan.plan import MethodPlan, Plan
    from tui.steps.option import Remedy

T = TypeVar("T")


@dataclass
class Found(Generic[T]):
    """One thing to find out: what was asked, whether it is being looked up, and what came of it."""

    asked: object = None
    busy: bool = False
    value: T | None = None
    problem: UserError | None = None
    early: T | None = None
    """What is known of it while it is being looked up; only to be shown, nothing is decided on it."""

    def ask(self, question: object, keep: bool = False) -> bool:
        """Begin to look `question` up; False when it was already asked. Nothing asked (None) forgets the finding.

        With `keep` the finding so far stays in sight until the new one is there.
        """
        if question == self.asked:
            return False
        if not keep or question is None:
            self.value = None
        self.asked, self.problem, self.early, self.busy = question, None, None, question is not None
        return self.busy

    def settle(self, question: object, value: T | None, problem: UserError | None = None) -> bool:
        """Store what came of `question`; False when something else was asked meanwhile."""
        if question != self.asked:
            return False
        self.busy, self.value, self.problem = False, value, problem
        return True


@dataclass
class Facts:
    """Everything that was found out so far."""

    machine: Found[Machine] = field(default_factory=Found)
    model: Found[ModelFiles] = field(default_factory=Found)
    data: Found[dict[str, Any]] = field(default_factory=Found)
    plan: Found[Plan] = field(default_factory=Found)
    remedy: Found[Remedy] = field(default_factory=Found)
    """The one change that makes the chosen method fit, when nothing fits as it is."""
    tell: Callable[[], None] = lambda: None
    """Called when something became known early."""
    simulation: Found[Memory] = field(default_factory=Found)
    """The simulation that runs now."""
    simulated: dict[str, Memory | None] = field(default_factory=dict)
    """Question -> what came of it; None where a simulation was not possible, so that it is not tried again."""

    def method_plan(self, name: str) -> MethodPlan | None:
        """The plan for one method, when there is a plan."""
        plan = self.plan.value
        return next((one for one in plan.methods if one.name == name), None) if plan else None

    def method(self, answers: Answers) -> str:
        """The method in force: the chosen one, else the recommended one, else none."""
        return answers.text("method.name") or (self.plan.value.recommended if self.plan.value else "")

    def settings(self, answers: Answers) -> dict[str, Answer]:
        """Every answer of the method in force, with what the person chose laid over it."""
        plan = self.method_plan(self.method(answers))
        return {**(plan.answers if plan else {}), **answers.chosen()}
