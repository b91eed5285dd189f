"""The best method that fits at the least settings, for a list of models: the closed form at one row a micro-batch.

A whole plan takes 4 to 15 ms, which is too long for a list of fifty; this takes a third of a millisecond a method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.machine.detect import Machine
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan.fit import Fit
from engine.plan.goals import DEFAULT_GOAL
from engine.plan.method_plan import why_unavailable
from engine.plan.search import FULL_OPTIMIZERS
from engine.plan.settings import DEFAULT_LENGTH
from engine.plan.situation import Situation
from engine.plan.starting_shape import starting_shape


@dataclass(frozen=True)
class Smallest:
    """What fits of one model. `method` is full, lora or qlora, "" when none does; `need_bytes` of that method, or of
    the one that needs least. `tokens` a row was counted with."""

    method: str
    need_bytes: int
    tokens: int

    @property
    def fits_adapter(self) -> bool:
        """Whether LoRA on the 16-bit base fits."""
        return self.method in ("full", "lora")


def smallest(machine: Machine, spec: ModelSpec, tokens: int = DEFAULT_LENGTH) -> Smallest:
    """The best method that fits with one row of `tokens` at a time and checkpointing, in what is free now."""
    files = ModelFiles("", None, "", spec, None, True, 0, False)
    here = Situation(machine, files, None, DEFAULT_GOAL, {})
    length = min(tokens, spec.context_length or tokens)
    needs = []
    for method in ("full", "lora", "qlora"):
        if why_unavailable(spec, here, method):
            continue
        fit = _fit(here, method, length)
        if fit.verdict == "fits":
            return Smallest(method, fit.need_bytes, length)
        needs.append(fit.need_bytes)
    return Smallest("", min(needs, default=0), length)


def _fit(here: Situation, method: str, length: int) -> Fit:
    shape, _ = starting_shape(here, method)
    optimizer = FULL_OPTIMIZERS[-1] if method == "full" and here.device == "cuda" else shape.optimizer
    least = replace(shape, micro_batch_size=1, sequence_length=length, gradient_checkpointing=True, optimizer=optimizer)
    return here.judge(here.measure(least))
