"""The best plan for this machine, this model and this data: quality first, then what fits, then speed.

Full fine-tuning where the data holds more than an adapter can learn and it fits; else LoRA where it fits; else QLoRA.
Without data the documented tiers decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from engine.errors import UserError
from engine.machine.abilities import why_not
from engine.machine.detect import Machine
from engine.machine.tiers import check_tier, load_tiers
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan import settings
from engine.plan.adapters import adapter_parameters
from engine.plan.budget import Work, disk_bytes, host_memory_bytes
from engine.plan.explain import fit_reason, recommendation_reason, shortage_warnings, slow_note
from engine.plan.goals import DEFAULT_GOAL, GOALS
from engine.plan.objective import expert_answers, objective_answers
from engine.plan.plan import MethodPlan, Plan
from engine.plan.search import Candidate, Situation, longest_that_fits, search, starting_shape
from engine.plan.settings import DataFacts, recommended
from engine.plan.sharing import with_devices
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


def plan_method(here: Situation, method: str, wanted: str | None) -> MethodPlan:
    """One method's best settings here, whether they fit, and why each is as it is."""
    unavailable = why_unavailable(here.spec, here, method)
    base, answers = starting_shape(here, method)
    held_out = here.pick("evaluation.held_out_rows", _held_out(here))
    objective = here.objective
    epochs = here.pick("training.epochs", settings.epochs(here.data, str(objective.value)))
    work = here.work(float(str(epochs.value)), int(str(held_out.value)))
    effective, why_effective = _effective_batch(here, method)
    best = search(here, method, base, effective, work)
    if not here.is_set("method.rank"):
        best = _smaller_rank(here, method, best, effective, answers, work)
    if here.data is None and not here.is_set("training.sequence_length"):
        best = _shorter_without_data(here, method, best, effective, answers, work)
    steps = total_steps(here, best, work.rows, work.epochs)
    answers |= _found_answers(here, best, why_effective) | _fixed_answers(here, method, best, steps, wanted)
    answers |= {"evaluation.held_out_rows": held_out, "training.epochs": epochs}
    answers |= objective_answers(here, method, best) | expert_answers(here)
    fits = best.fit.verdict == "fits" and not unavailable
    fitting_length = 0 if best.fit.verdict == "fits" else longest_that_fits(here, best, work)
    host = host_memory_bytes(here.spec, best.shape, here.device, best.memory.total_bytes)
    keep = int(str(answers["checkpoints.keep"].value))
    disk = disk_bytes(here.spec, best.shape, here.files.download_bytes, keep)
    return MethodPlan(
        name=method,
        fits=fits,
        shortfall_bytes=best.fit.shortfall_bytes,
        reason=unavailable or fit_reason(here, best, fitting_length),
        answers=answers,
        memory=best.memory,
        host_memory_bytes=host,
        disk_bytes=disk,
        seconds=best.seconds,
        available=not unavailable,
        verdict=best.fit.verdict,
        free_bytes=best.fit.free_bytes,
        warnings=shortage_warnings(here, host, disk),
        shape=best.shape,
        process_bytes=here.process_bytes,
    )


def _held_out(here: Situation) -> Answer:
    """Rows to hold out: of the share that was asked for, else what suits the data."""
    share = here.overrides.get("evaluation.held_out_share")
    if share is None or not share.value:
        return settings.held_out_rows(here.data)
    rows = round(float(str(share.value)) * here.data.rows) if here.data is not None else 0
    return recommended(rows, f"{float(str(share.value)):.1%} of the rows, as you set it.")


def why_unavailable(spec: ModelSpec, here: Situation, method: str) -> str:
    """Why a method cannot be used here at all, "" when it can."""
    if spec.quantization and method != "qlora":
        return "The weights are already in 4 bits; only an adapter can be trained on them (QLoRA)."
    return why_not(here.gpu.kind if here.gpu is not None else "cpu", method)


def total_steps(here: Situation, candidate: Candidate, rows: int, epochs: float) -> int:
    """Optimizer steps of the run, 0 when no data was measured."""
    limit = int(str(here.pick("training.max_steps", recommended(0, "")).value))
    if here.data is None:
        return limit
    effective = candidate.shape.micro_batch_size * candidate.shape.accumulation
    steps = math.ceil(math.ceil(rows / effective) * epochs)
    return min(steps, limit) if limit else steps


def _effective_batch(here: Situation, method: str) -> tuple[int, str]:
    size, why = settings.effective_batch(method, here.data)
    micro, accumulation = (
        here.overrides.get(f"training.{key}") for key in ("micro_batch_size", "gradient_accumulation_steps")
    )
    if micro is not None and accumulation is not None:
        return int(str(micro.value)) * int(str(accumulation.value)), "As you set it."
    if micro is not None:
        return max(size, int(str(micro.value))), why
    return size, why


def _smaller_rank(
    here: Situation, method: str, best: Candidate, effective: int, answers: dict[str, Answer], work: Work
) -> Candidate:
    """A rank that the data asks for but memory does not allow is halved, down to the usual one."""
    smaller = best
    while method != "full" and smaller.fit.verdict != "fits" and smaller.shape.rank > settings.SMALLEST_RANK:
        base = replace(smaller.shape, rank=smaller.shape.rank // 2)
        smaller = search(here, method, base, effective, work)
    if smaller.fit.verdict == "fits" and smaller is not best:
        why = f"The largest that fits; the data could use {best.shape.rank}."
        answers["method.rank"] = recommended(smaller.shape.rank, why)
        return smaller
    return best


def _shorter_without_data(
    here: Situation, method: str, best: Candidate, effective: int, answers: dict[str, Answer], assumed: Work
) -> Candidate:
    """Without data nothing is cut by a shorter sequence, so the length gives way before the method does."""
    while best.fit.verdict != "fits" and best.shape.sequence_length > settings.SHORTEST_LENGTH:
        base = replace(best.shape, sequence_length=best.shape.sequence_length // 2)
        best = search(here, method, base, effective, assumed)
        answers["training.sequence_length"] = recommended(
            base.sequence_length, "No data was measured yet; this is the longest (by halves) that fits."
        )
    if best.fit.verdict != "fits":  # no length fits: show the need at the length that was asked for
        base = replace(best.shape, sequence_length=min(settings.DEFAULT_LENGTH, here.spec.context_length))
        answers["training.sequence_length"] = settings.sequence_length(here.spec, None)
        best = search(here, method, base, effective, assumed)
    return best


def _found_answers(here: Situation, best: Candidate, why_effective: str) -> dict[str, Answer]:
    """The answers that the search decided."""
    shape = best.shape
    micro, accumulation = shape.micro_batch_size, shape.accumulation
    if shape.gradient_checkpointing:
        checkpointing = recommended(
            True, "Keeps only each layer's input and computes the rest again: less memory, a third more time."
        )
    else:
        checkpointing = recommended(False, "All activations fit, so nothing is computed twice.")
    optimizer = recommended(shape.optimizer, _optimizer_reason(shape.optimizer, shape.method))
    proposed = {
        "training.micro_batch_size": recommended(
            micro,
            f"The fastest number of rows at once that fits at {shape.sequence_length} tokens; rows of a step are "
            "sorted by length, so fewer at once pad less.",
        ),
        "training.gradient_accumulation_steps": recommended(
            accumulation, f"{micro} x {accumulation} = {micro * accumulation} rows per step. {why_effective}"
        ),
        "training.gradient_checkpointing": checkpointing,
    }
    if shape.method == "full" and here.device == "cuda":
        proposed["training.optimizer"] = optimizer
    return {key: here.pick(key, answer) for key, answer in proposed.items()}


def _optimizer_reason(optimizer: str, method: str) -> str:
    return {
        "adamw_torch_fused": "The exact Adam in one fused kernel; the unfused one would copy the weights once more.",
        "adamw_8bit": "Its state takes a quarter of the memory; with the exact Adam it would not fit.",
        "paged_adamw_8bit": "Its state moves to the host's RAM when the GPU is short; without that it would not fit.",
    }.get(optimizer, f"Usual for {method}.")


def _fixed_answers(here: Situation, method: str, best: Candidate, steps: int, wanted: str | None) -> dict[str, Answer]:
    """The answers that follow from size, data and method."""
    rank = best.shape.rank
    raw_text = settings.is_raw_text(here.data)
    clip = 0.3 if best.shape.precision == "fp16" else 1.0
    why_clip = "fp16 needs a calmer clip." if clip < 1 else "The usual limit against a single bad batch."
    name = (
        Answer(method, "you", "You chose it.") if wanted == method else recommended(method, "One of the three methods.")
    )
    proposed = {
        "method.name": name,
        "method.alpha": recommended(2 * rank, f"Twice the rank of {rank}, as usual."),
        "method.dropout": recommended(0.0, "Dropout in adapters has shown no clear gain and costs time."),
        "training.learning_rate": settings.learning_rate(here.spec, method, best.shape.objective, raw_text),
        "training.max_steps": recommended(0, "The epochs decide how long it runs."),
        "training.scheduler": settings.scheduler(steps, raw_text),
        "training.warmup_ratio": settings.warmup(raw_text),
        "training.weight_decay": recommended(0.01, "A light pull towards zero, as in most published runs."),
        "training.max_grad_norm": recommended(clip, why_clip),
        "training.packing": settings.packing(here.data, best.shape.sequence_length),
        "training.seed": recommended(42, "Any number; the same one repeats the run."),
        "evaluation.every_steps": recommended(0, "Ten evaluations spread over the run."),
        "evaluation.samples": recommended(3, "Three held-out prompts are answered at each evaluation."),
        "checkpoints.every_steps": recommended(0, "Five checkpoints spread over the run."),
        "checkpoints.keep": recommended(2, "The newest two; if one is damaged there is another."),
    }
    return {key: here.pick(key, answer) for key, answer in proposed.items()}
