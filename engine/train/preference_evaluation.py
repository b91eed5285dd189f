"""How well held-out preferences are met: the loss, the margin between good and bad answers, and the share in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

from engine.train.curves import curves_of
from engine.train.dataset import Batch, rows_of, split_batch
from engine.train.evaluation import Evaluation
from engine.train.out_of_memory import free_memory, is_out_of_memory
from engine.train.randomness import untouched


class _Means:
    """Weighted means by name."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def add(self, values: dict[str, float], weights: dict[str, int], usual: int) -> None:
        for name, value in values.items():
            weight = weights.get(name, usual)
            self._sums[name] = self._sums.get(name, 0.0) + weight * value
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def found(self) -> dict[str, float]:
        return {name: self._sums[name] / weight for name, weight in self._weights.items() if weight}


def measure_preferences(
    trainer: Any, batches: Iterable[Batch], between: Callable[[], bool] = lambda: True
) -> Evaluation | None:
    """Means over all held-out rows, whatever the batches are. Random state, mode and logs are left as they were.

    There is no perplexity: the loss is not one of tokens. None when `between` answered False before a batch.
    """
    started, model = time.monotonic(), trainer.model
    was_training, kept = model.training, trainer.swap_metrics()
    means, rows, tokens = _Means(), 0, 0
    model.eval()
    try:
        with untouched(), torch.no_grad():
            for batch in batches:
                if not between():
                    return None
                here = {name: value.to(trainer.args.device) for name, value in batch.items() if torch.is_tensor(value)}
                _measure_batch(trainer, here, means)
                rows += rows_of(here)
                tokens += int(here["completion_mask"][:, 1:].sum())
    finally:
        model.train(was_training)
        trainer.swap_metrics(kept)
    found = means.found()
    if {"reward_chosen", "reward_rejected"} <= set(found):
        found["margin"] = found["reward_chosen"] - found["reward_rejected"]
    loss = found.pop("loss", float("nan"))
    return Evaluation(loss, float("nan"), rows, tokens, time.monotonic() - started, found)


def _measure_batch(trainer: Any, batch: Batch, means: _Means) -> None:
    """Add one batch; row by row when it does not fit into memory at once."""
    try:
        trainer.swap_metrics()
        with trainer.compute_loss_context_manager():
            loss = trainer.compute_loss(trainer.model, dict(batch))
    except Exception as error:
        if not is_out_of_memory(error) or rows_of(batch) == 1:
            raise
    else:
        means.add({"loss": float(loss), **curves_of(trainer.logged())}, _sides(batch), rows_of(batch))
        return
    free_memory()
    for piece in split_batch(batch, rows_of(batch)):
        _measure_batch(trainer, piece, means)


def _sides(batch: Batch) -> dict[str, int]:
    """How many rows stand behind a value that is a mean over good or over bad answers only."""
    if "label" not in batch:
        return {}
    good = int(batch["label"].sum())
    return {"reward_chosen": good, "reward_rejected": len(batch["label"]) - good}
