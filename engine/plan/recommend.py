"""The best plan for this machine, this model and this data: quality first, then what fits, then speed.

Full fine-tuning where the data holds more than an adapter can learn and it fits; else LoRA where it fits; else QLoRA.
Without data the documented tiers decide.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import UserError
from engine.machine.detect import Machine
from engine.machine.tiers import check_tier, load_tiers
from engine.models.find import ModelFiles
from engine.plan import settings
from engine.plan.adapters import adapter_parameters
from engine.plan.backend import leans_on_unsloth
from engine.plan.data_facts import DataFacts
from engine.plan.explain import recommendation_reason, slow_note
from engine.plan.goals import DEFAULT_GOAL, GOALS
from engine.plan.method_plan import plan_method
from engine.plan.plan import MethodPlan, Plan
from engine.plan.sharing import with_devices
from engine.plan.situation import Situation
from engine.recipe import Answer
from engine.recipe_keys import METHODS, find_key

TEXT_TOKENS_FOR_FULL = 10_000_000  # raw text below this is learned by an adapter as well ("LoRA Without Regret")


def recommend(
    machine: Machine,
    model: ModelFiles,
    data: DataFacts | None,
    goal: str = DEFAULT_GOAL,
    method: str | None = None,
    overrides: Mapping[str, Answer] | None = None,
) -> Plan:
    """Plan all three methods and recommend one; `method` or an override of method.name decides it for the person.

    UserError for an unknown goal or method, an unknown key, or a value out of range.
    """
    given = dict(overrides or {})
    for key in given:
        find_key(key)
    if goal not in GOALS:
        raise UserError(f'There is no goal "{goal}".', "--goal", f"Use one of: {', '.join(GOALS)}.")
    named = given.pop("method.name", None)
    wanted = method or (str(named.value) if named is not None else None)
    if wanted is not None and wanted not in METHODS:
        raise UserError(f'There is no method "{wanted}".', "--method", f"Use one of: {', '.join(METHODS)}.")
    here = Situation(machine, model, data, goal, given)
    plans = tuple(with_devices(here, plan_method(here, name, wanted)) for name in METHODS)
    chosen = wanted or choose(here, plans)
    reason = recommendation_reason(here, plans, chosen, wanted is not None)
    return Plan(chosen, reason, plans, machine, model.spec, slow_note(here, plans, chosen))


def choose(here: Situation, plans: tuple[MethodPlan, ...]) -> str:
    """The name of the method to recommend."""
    able = {plan.name: plan for plan in plans if plan.available}
    fitting = {name for name, plan in able.items() if plan.fits}
    # one that fits with plain TRL goes before one that only fits by what Unsloth's source promises
    fitting = {name for name in fitting if not leans_on_unsloth(able[name])} or fitting
    if "full" in fitting and full_is_justified(here):
        return "full"
    for name in ("lora", "qlora", "full"):
        if name in fitting:
            return name
    return min(able.values(), key=lambda plan: plan.shortfall_bytes).name


def full_is_justified(here: Situation) -> bool:
    """True when an adapter would be too small for the data; without data, when the documented tier is met for this
    size."""
    if here.data is None:
        tier = next(tier for tier in load_tiers() if tier.method == "full")
        lines = check_tier(tier, here.machine, here.spec.parameters).lines
        return here.gpu is not None and lines[0].met
    if here.goal == "text" and here.data.trained_tokens >= TEXT_TOKENS_FOR_FULL:
        return True
    return adapter_parameters(here.spec, settings.LARGEST_RANK) < here.data.trained_tokens
