"""How many optimizer steps a run takes, and at which of them something else happens."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.recipe import Recipe

EVALUATIONS_PER_RUN = 10
CHECKPOINTS_PER_RUN = 5


@dataclass(frozen=True)
class Schedule:
    """All counts are optimizer steps; an interval of 0 means never."""

    total_steps: int
    steps_per_epoch: int
    warmup_steps: int
    evaluate_every: int
    checkpoint_every: int

    def evaluates_at(self, step: int) -> bool:
        return self.evaluate_every > 0 and (step % self.evaluate_every == 0 or step == self.total_steps)

    def saves_at(self, step: int) -> bool:
        return step % self.checkpoint_every == 0 or step == self.total_steps

    def epoch_at(self, step: int) -> float:
        return step / self.steps_per_epoch


def make_schedule(recipe: Recipe, sequences: int, held_out_rows: int) -> Schedule:
    """The schedule for `sequences` training sequences (rows, or packs of rows).

    The step limit of a recipe is a limit: it never makes a run longer than its epochs.
    """
    training = recipe.training
    micro_batches = math.ceil(sequences / training.micro_batch_size)
    per_epoch = max(1, math.ceil(micro_batches / training.gradient_accumulation_steps))
    total = max(1, math.ceil(round(training.epochs * per_epoch, 6)))
    if training.max_steps:
        total = min(total, training.max_steps)
    evaluate_every = recipe.evaluation.every_steps or math.ceil(total / EVALUATIONS_PER_RUN)
    return Schedule(
        total_steps=total,
        steps_per_epoch=per_epoch,
        warmup_steps=_warmup(training.warmup_ratio, total),
        evaluate_every=evaluate_every if held_out_rows else 0,
        checkpoint_every=recipe.checkpoints.every_steps or math.ceil(total / CHECKPOINTS_PER_RUN),
    )


def _warmup(ratio: float, total_steps: int) -> int:
    """Steps of warm-up. The first of them has a rate of zero, so a warm-up of one step would only waste it."""
    steps = math.ceil(round(ratio * total_steps, 6))
    return steps if steps > 1 else 0
