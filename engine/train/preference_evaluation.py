"""How well held-out preferences are met: the loss, the margin between good and bad answers, and the share in order."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch

from engine.train.curves import curves_of
from engine.train.dataset import Batch, rows_of, split_batch
from engine.train.evaluation import Evaluation
from engine.train.out_of_memory import free_memory, is_out_of_memory


class PreferenceTally:
    """Means over all held-out rows, whatever the batches are; of what the trainer logs in training nothing changes.

    There is no perplexity: the loss is not one of tokens.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._sums: dict[str, float] = defaultdict(float)
        self._weights: dict[str, float] = defaultdict(float)
        self._rows, self._tokens = 0, 0

    def add(self, batch: Batch) -> None:
        device = self._trainer.args.device
        here = {name: value.to(device) for name, value in batch.items() if torch.is_tensor(value)}
        kept = self._trainer.swap_metrics()
        try:
            self._measure(here)
        finally:
            self._trainer.swap_metrics(kept)
        self._rows += rows_of(here)
        self._tokens += int(here["completion_mask"][:, 1:].sum())

    def _measure(self, batch: Batch) -> None:
        """Add one batch; row by row when it does not fit into memory at once."""
        try:
            self._trainer.swap_metrics()
            with self._trainer.compute_loss_context_manager():
                loss = self._trainer.compute_loss(self._trainer.model, dict(batch))
        except Exception as error:
            if not is_out_of_memory(error) or rows_of(batch) == 1:
                raise
        else:
            self._weigh({"loss": float(loss), **curves_of(self._trainer.logged())}, batch)
            return
        free_memory()
        for piece in split_batch(batch, rows_of(batch)):
            self._measure(piece)

    def _weigh(self, values: Mapping[str, float], batch: Batch) -> None:
        sides = _sides(batch)
        for name, value in values.items():
            weight = sides.get(name, rows_of(batch))
            self._sums[name] += weight * value
            self._weights[name] += weight

    def told(self) -> dict[str, Any]:
        return {"sums": self._sums, "weights": self._weights, "rows": self._rows, "tokens": self._tokens}

    def take(self, told: Mapping[str, Any]) -> None:
        for name, value in told["sums"].items():
            self._sums[name] += value
            self._weights[name] += told["weights"][name]
        self._rows += told["rows"]
        self._tokens += told["tokens"]

    def found(self, seconds: float) -> Evaluation:
        found = {name: self._sums[name] / weight for name, weight in self._weights.items() if weight}
        if {"reward_chosen", "reward_rejected"} <= set(found):
            found["margin"] = found["reward_chosen"] - found["reward_rejected"]
        loss = found.pop("loss", math.nan)
        return Evaluation(loss, math.nan, self._rows, self._tokens, seconds, found)


def _sides(batch: Batch) -> dict[str, int]:
    """How many rows stand behind a value that is a mean over good or over bad answers only."""
    if "label" not in batch:
        return {}
    good = int(batch["label"].sum())
    return {"reward_chosen": good, "reward_rejected": len(batch["label"]) - good}
