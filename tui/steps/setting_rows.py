"""The settings as they are shown: which of them matter here, and each with its value, source and reason."""

from __future__ import annotations

from dataclasses import dataclass

from engine.answer import Answer
from engine.data.objectives import OBJECTIVE_OF
from engine.recipe_keys import KEYS, Key
from tui.answers import Answers
from tui.steps.facts import Facts
from tui.steps.words import shown

NOT_HERE = ("model.source", "model.revision", "data.source", "data.format", "data.map", "method.name")
"""These have their own pages."""
ADAPTER_KEYS = ("method.rank", "method.alpha", "method.dropout", "method.target_modules", "method.layers",
                "method.dora", "method.rslora", "method.train_embeddings")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One setting as it is shown."""

    key: Key
    value: str
    answer: Answer
    recommended: str
    """The value that `reset` would bring back."""

    @property
    def own(self) -> bool:
        """Whether the person changed it."""
        return self.answer.source in ("you", "previous")


def visible_keys(answers: Answers, facts: Facts, expert: bool) -> list[Key]:
    """The settings that matter here: without the adapter's for full fine-tuning, experts' only when wanted.

    An expert value that a person changed is always shown.
    """
    full = facts.method(answers) == "full"
    own = answers.chosen()
    keys = [key for key in KEYS.values() if key.name not in NOT_HERE]
    keys = [key for key in keys if not (full and key.name in ADAPTER_KEYS)]
    objective = _value_in_force(answers, facts, "method.objective", "sft")
    compares = str((facts.data.value or {}).get("format", "")) in OBJECTIVE_OF
    if objective == "sft" and not compares and not expert:
        keys = [key for key in keys if key.name != "method.objective"]
    return [key for key in keys if expert or not key.expert or key.name in own or key.name in answers.drafts]


def _value_in_force(answers: Answers, facts: Facts, key: str, usual: str) -> str:
    """The value of a setting as text; `usual` while nothing is planned."""
    found = facts.settings(answers).get(key)
    return str(found.value) if found is not None else usual


def rows(answers: Answers, facts: Facts, expert: bool = False) -> list[Row]:
    """The visible settings with value, source and reason."""
    in_force = facts.settings(answers)
    plan = facts.method_plan(facts.method(answers))
    return [_row(key, in_force, plan.answers if plan else {}) for key in visible_keys(answers, facts, expert)]


def _row(key: Key, in_force: dict[str, Answer], recommended: dict[str, Answer]) -> Row:
    usual = Answer(key.default, "recommended", _usual_reason(key))
    answer = in_force.get(key.name, usual)
    base = recommended.get(key.name, usual)
    # the plan repeats what the person set, so the value to go back to is only known when it is not the person's
    value = "" if base.source in ("you", "previous") else shown(base.value)
    return Row(key, shown(answer.value), answer, value)


def _usual_reason(key: Key) -> str:
    if key.name == "run.name":
        return "made from the model and the method when the run starts"
    if key.name == "run.directory":
        return "the usual place for runs"
    return "the usual value"
