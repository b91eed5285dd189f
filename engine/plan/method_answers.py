"""The settings of one method as answers, each with its reason."""

from __future__ import annotations

from engine.plan import settings
from engine.plan.data_facts import is_raw_text
from engine.plan.learning_rate import learning_rate
from engine.plan.search import Candidate
from engine.plan.settings import recommended
from engine.plan.situation import Situation
from engine.recipe import Answer
from engine.recipe_keys import Value

ALWAYS: dict[str, tuple[Value, str]] = {
    "method.dropout": (0.0, "Dropout in adapters has shown no clear gain and costs time."),
    "training.max_steps": (0, "The epochs decide how long it runs."),
    "training.weight_decay": (0.01, "A light pull towards zero, as in most published runs."),
    "training.seed": (42, "Any number; the same one repeats the run."),
    "evaluation.every_steps": (0, "Ten evaluations spread over the run."),
    "evaluation.samples": (3, "Three held-out prompts are answered at each evaluation."),
    "checkpoints.every_steps": (0, "Five checkpoints spread over the run."),
    "checkpoints.keep": (2, "The newest two; if one is damaged there is another."),
}
"""Settings that depend on nothing: the value and why."""


def found_answers(here: Situation, best: Candidate, why_effective: str) -> dict[str, Answer]:
    """The answers that the search decided."""
    shape = best.shape
    micro, accumulation = shape.micro_batch_size, shape.accumulation
    why_micro = (
        f"The fastest number of rows at once that fits at {shape.sequence_length} tokens; rows of a step are "
        "sorted by length, so fewer at once pad less."
    )
    why_accumulation = f"{micro} x {accumulation} = {micro * accumulation} rows per step. {why_effective}"
    why_checkpointing = (
        "Keeps only each layer's input and computes the rest again: less memory, a third more time."
        if shape.gradient_checkpointing
        else "All activations fit, so nothing is computed twice."
    )
    proposed = {
        "training.micro_batch_size": recommended(micro, why_micro),
        "training.gradient_accumulation_steps": recommended(accumulation, why_accumulation),
        "training.gradient_checkpointing": recommended(shape.gradient_checkpointing, why_checkpointing),
    }
    if shape.method == "full" and here.device == "cuda":
        proposed["training.optimizer"] = recommended(shape.optimizer, _optimizer_reason(shape.optimizer, shape.method))
    return {key: here.pick(key, answer) for key, answer in proposed.items()}


def _optimizer_reason(optimizer: str, method: str) -> str:
    return {
        "adamw_torch_fused": "The exact Adam in one fused kernel; the unfused one would copy the weights once more.",
        "adamw_8bit": "Its state takes a quarter of the memory; with the exact Adam it would not fit.",
        "paged_adamw_8bit": "Its state moves to the host's RAM when the GPU is short; without that it would not fit.",
    }.get(optimizer, f"Usual for {method}.")


def fixed_answers(here: Situation, method: str, best: Candidate, steps: int, wanted: str | None) -> dict[str, Answer]:
    """The answers that follow from size, data and method. `steps` of the run; `wanted`: the method asked for."""
    rank, raw_text = best.shape.rank, is_raw_text(here.data)
    proposed = {
        "method.name": _name(method, wanted),
        "method.alpha": recommended(2 * rank, f"Twice the rank of {rank}, as usual."),
        "training.learning_rate": learning_rate(here.spec, method, best.shape.objective, raw_text),
        "training.scheduler": settings.scheduler(steps, raw_text),
        "training.warmup_ratio": settings.warmup(raw_text),
        "training.max_grad_norm": _clip(best.shape.precision),
        "training.packing": settings.packing(here.data, best.shape.sequence_length),
        **{key: recommended(value, why) for key, (value, why) in ALWAYS.items()},
    }
    return {key: here.pick(key, answer) for key, answer in proposed.items()}


def _name(method: str, wanted: str | None) -> Answer:
    return (
        Answer(method, "you", "You chose it.") if wanted == method else recommended(method, "One of the three methods.")
    )


def _clip(precision: str) -> Answer:
    if precision == "fp16":
        return recommended(0.3, "fp16 needs a calmer clip.")
    return recommended(1.0, "The usual limit against a single bad batch.")
