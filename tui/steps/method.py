"""Step 5: QLoRA, LoRA or full fine-tuning, side by side with need and reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.recipe_keys import METHODS
from tui.answers import Answers
from tui.steps.base import Question, Step
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem, Remedy
from tui.steps.words import METHOD_TITLES, duration, gigabytes

if TYPE_CHECKING:
    from engine.plan.plan import MethodPlan

ORDER = ("qlora", "lora", "full")
"""From the smallest need to the largest."""


@dataclass(frozen=True)
class Traits:
    """What is gained and lost, in a sentence each."""

    what: str
    gained: str
    lost: str


TRAITS = {
    "qlora": Traits("A small adapter is trained on a base held in 4 bits.",
                    "The least memory: large models fit on small GPUs.",
                    "Steps take longer than with LoRA, and the base is slightly rounded."),
    "lora": Traits("A small adapter is trained on a base held in 16 bits.",
                   "Fast, and the result is a small file beside an unchanged base.",
                   "It needs more memory than QLoRA."),
    "full": Traits("Every weight is changed.",
                   "It can learn the most, which matters for a large shift.",
                   "It needs the most memory and disk, and forgets the base more easily."),
}  # fmt: skip
HELP = """\
All three methods show the model your examples. They differ in what they change.

QLoRA and LoRA keep the base as it is and train a small adapter beside it. QLoRA holds the base in 4 bits, so it needs \
the least memory. Full fine-tuning changes every weight.

On most tasks with up to some ten thousand rows, LoRA reaches what full fine-tuning reaches (Thinking Machines, "LoRA \
Without Regret"). Take the recommended one unless you know a reason against it.

Need is a computed estimate against what is free now. It is measured on your machine before the first step."""


def options(answers: Answers, facts: Facts) -> list[Option]:
    """The three methods; with a plan each has its need and fit."""
    recommended = facts.plan.value.recommended if facts.plan.value else ""
    return [_option(name, facts, name == recommended) for name in ORDER]


def _option(name: str, facts: Facts, recommended: bool) -> Option:
    traits, plan = TRAITS[name], facts.method_plan(name)
    if plan is None:
        return Option(name, METHOD_TITLES[name], traits.what)
    mark = "fits" if plan.fits else (f"{gigabytes(plan.shortfall_bytes)} too much" if plan.shortfall_bytes else "no")
    time = f" About {duration(plan.seconds)}." if plan.seconds else ""
    return Option(name, METHOD_TITLES[name], f"{plan.reason}{time}", mark, plan.fits, recommended)


def apply(answers: Answers, facts: Facts, text: str) -> None:
    """Store the method; taking the recommended one keeps it recommended."""
    name = text.strip().lower()
    if name not in METHODS:
        raise UserError(f"{text!r} is not a method.", "Method", f"Use one of: {', '.join(ORDER)}.")
    plan = facts.plan.value
    if plan is not None and name == plan.recommended:
        answers.put("method.name", name, "recommended", plan.reason)
    elif name != answers.text("method.name"):
        answers.put("method.name", name, "you", "your choice")


def validate(answers: Answers, facts: Facts) -> list[Problem]:
    """A method that does not fit is said with what would mend it, and may still be chosen; one that cannot be used on
    this machine or with this model may not."""
    if facts.plan.problem is not None:
        return [Problem.of(facts.plan.problem)]
    plan = facts.plan.value
    name = facts.method(answers)
    chosen = facts.method_plan(name)
    if plan is None or chosen is None or chosen.fits:
        return []
    cannot = "does not fit" if chosen.available else "cannot be used here"
    what = f"{METHOD_TITLES[name]} {cannot}: {chosen.reason}"
    other = facts.method_plan(plan.recommended)
    if other is not None and other.fits and plan.recommended != name:
        label = f"Use {METHOD_TITLES[plan.recommended]}"
        fix = f"{label}, or change the settings."
        return [Problem(what, "Method", fix, not chosen.available, Remedy(label, "method.name", plan.recommended))]
    if facts.remedy.value is not None:
        fix = f"{facts.remedy.value.label}, or choose a smaller model."
        return [Problem(what, "Method", fix, False, facts.remedy.value)]
    return [Problem(what, "Method", "Choose a smaller model or a larger GPU.", blocking=False)]


def summary(answers: Answers, facts: Facts) -> str:
    """One line for the review."""
    name = facts.method(answers)
    if not name:
        return "decided when the model is known"
    plan = facts.method_plan(name)
    need = f", needs about {gigabytes(need_bytes(plan, facts))}" if plan else ""
    objective = facts.settings(answers).get("method.objective")
    compared = f" with {str(objective.value).upper()}" if objective is not None and objective.value != "sft" else ""
    return f"{METHOD_TITLES[name]}{compared}{need}"


def need_bytes(plan: MethodPlan, facts: Facts) -> int:
    """What has to be free where it trains: on the GPU, or in RAM with the program itself when there is none."""
    machine = facts.machine.value
    on_gpu = machine is not None and machine.best_gpu is not None
    return plan.memory.total_bytes if on_gpu else plan.host_memory_bytes


STEP = Step(
    name="method",
    title="Method",
    question="How should it be trained?",
    help=HELP,
    questions=(Question("method.name", "How should it be trained?", options, apply),),
    validate=validate,
    summary=summary,
    later=("settings",),
    keys=("method.name",),
)
