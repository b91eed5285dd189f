"""Search one method's settings: the fastest micro-batch, checkpointing and optimizer that fit, at the length the data
asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

from engine.plan.budget import Work, seconds_estimate
from engine.plan.devices import least_micro_batch
from engine.plan.fit import Fit
from engine.plan.memory import Memory, TrainingShape
from engine.plan.padding import padded_tokens
from engine.plan.situation import Situation
from engine.recipe_keys import REFERENCES

FULL_OPTIMIZERS = ("adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit")  # in the order of exactness


@dataclass(frozen=True)
class Candidate:
    """One way to train, its memory, its verdict and its time."""

    shape: TrainingShape
    memory: Memory
    fit: Fit
    seconds: float


def search(here: Situation, method: str, base: TrainingShape, effective: int, work: Work) -> Candidate:
    """The fastest candidate that fits; when none fits, the smallest. Exact optimizers are preferred to 8-bit ones."""
    smallest: Candidate | None = None
    for optimizer, reference in product(_optimizers(here, method, base), _references(here, base)):
        shapes = _shapes(here, replace(base, optimizer=optimizer, reference=reference), effective)
        candidates = [_candidate(here, shape, work) for shape in shapes]
        fitting = [candidate for candidate in candidates if candidate.fit.verdict == "fits"]
        if fitting:
            return min(fitting, key=lambda found: (round(found.seconds, 1), found.memory.total_bytes))
        least = min(candidates, key=lambda found: found.memory.total_bytes)
        if smallest is None or least.memory.total_bytes < smallest.memory.total_bytes:
            smallest = least
    assert smallest is not None
    return smallest


def longest_that_fits(here: Situation, candidate: Candidate, work: Work) -> int:
    """The longest sequence (a multiple of 64) at which this candidate fits, 0 when none does."""
    low, high = 0, candidate.shape.sequence_length // 64
    while low < high:
        middle = (low + high + 1) // 2
        shape = replace(candidate.shape, sequence_length=middle * 64)
        if _candidate(here, shape, work).fit.verdict == "fits":
            low = middle
        else:
            high = middle - 1
    return low * 64


def _optimizers(here: Situation, method: str, base: TrainingShape) -> tuple[str, ...]:
    if here.is_set("training.optimizer") or method != "full" or here.device == "cpu":
        return (base.optimizer,)
    return FULL_OPTIMIZERS


def _references(here: Situation, base: TrainingShape) -> tuple[str, ...]:
    """Beside the trained model, and of a full fine-tune also computed beforehand, which holds no second copy."""
    twice = base.method == "full" and base.objective in ("dpo", "kto") and not here.is_set("method.reference")
    return REFERENCES if twice else (base.reference,)


def _shapes(here: Situation, base: TrainingShape, effective: int) -> list[TrainingShape]:
    """Micro-batches that divide the effective batch, each without and with checkpointing, unless the person decided."""
    if here.is_set("training.micro_batch_size"):
        sizes = [base.micro_batch_size]
    elif here.is_set("training.gradient_accumulation_steps"):
        sizes = [max(1, effective // base.accumulation)]
    else:
        least = least_micro_batch(base.objective)
        sizes = [size for size in range(1, effective + 1) if effective % size == 0 and size >= least] or [least]
    modes = [base.gradient_checkpointing] if here.is_set("training.gradient_checkpointing") else [False, True]
    found = []
    for size in sizes:
        accumulation = base.accumulation
        if not here.is_set("training.gradient_accumulation_steps"):
            accumulation = max(1, math.ceil(effective / size))
        found += [
            replace(base, micro_batch_size=size, accumulation=accumulation, gradient_checkpointing=mode)
            for mode in modes
        ]
    return found


def _candidate(here: Situation, shape: TrainingShape, work: Work) -> Candidate:
    memory = here.measure(shape)
    padded = replace(work, mean_tokens=padded_tokens(here, work, shape))
    seconds = seconds_estimate(here.spec, shape, padded, here.gpu, here.machine.host.cpu_count)
    return Candidate(shape, memory, here.judge(memory), seconds)
