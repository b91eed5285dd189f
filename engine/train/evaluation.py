"""The loss on held-out rows: every trained token counts once, and training does not notice that it was measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from engine.train.dataset import Batch, split_batch
from engine.train.out_of_memory import free_memory, is_out_of_memory
from engine.train.randomness import untouched


@dataclass(frozen=True)
class Evaluation:
    """`loss` in nats per trained token (NaN when there is none), `perplexity` its exponential.

    Where preferences are learned the loss is the objective's, there is no perplexity, and `details` holds margins.
    """

    loss: float
    perplexity: float
    rows: int
    tokens: int
    seconds: float
    details: Mapping[str, float] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """What the event `eval` says."""
        said: dict[str, Any] = {"loss": self.loss, "rows": self.rows, "tokens": self.tokens}
        if not math.isnan(self.perplexity) or math.isnan(self.loss):
            said["perplexity"] = self.perplexity
        return {**said, **self.details, "seconds": round(self.seconds, 3)}


def evaluate(
    model: Any, batches: Iterable[Batch], device: torch.device, between: Callable[[], bool] = lambda: True
) -> Evaluation | None:
    """Measure `model`, which carries the fused output head of TRL. Random state and mode are left as they were.

    `between` is called before each batch; when it answers False the evaluation is given up and None returned.
    """
    started = time.monotonic()
    was_training = model.training
    total, tokens, rows = 0.0, 0, 0
    model.eval()
    try:
        with untouched(), torch.no_grad():
            for batch in batches:
                if not between():
                    return None
                loss, count = _sum_of_losses(model, {name: value.to(device) for name, value in batch.items()})
                total, tokens, rows = total + loss, tokens + count, rows + len(batch["input_ids"])
    finally:
        model.train(was_training)
    mean = total / tokens if tokens else math.nan
    return Evaluation(mean, _exponential(mean), rows, tokens, time.monotonic() - started)


def _sum_of_losses(model: Any, batch: Batch) -> tuple[float, int]:
    """(summed loss, tokens) of a batch; row by row when it does not fit into memory at once."""
    try:
        outputs = model(**batch, use_cache=False, fused_lm_head=True)
        return float(-outputs.log_probs.sum()), int(outputs.label_mask.sum())
    except Exception as error:
        if not is_out_of_memory(error) or len(batch["input_ids"]) == 1:
            raise
    free_memory()
    parts = [_sum_of_losses(model, piece) for piece in split_batch(batch, len(batch["input_ids"]))]
    return sum(loss for loss, _ in parts), sum(count for _, count in parts)


def _exponential(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
