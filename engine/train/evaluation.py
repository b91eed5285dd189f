"""The loss on held-out rows: every trained token counts once, and training does not notice that it was measured."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

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


class Tally(Protocol):
    """What an objective counts on held-out rows, batch by batch; several parts of it add up to the whole."""

    def add(self, batch: Batch) -> None:
        """Count one batch. The model is in the mode of evaluation, and no gradients are kept."""

    def told(self) -> dict[str, Any]:
        """What was counted, as plain JSON."""

    def take(self, told: Mapping[str, Any]) -> None:
        """Add what another tally `told`."""

    def found(self, seconds: float) -> Evaluation: ...


class TokenTally:
    """The loss of each trained token. `model` carries the fused output head of TRL."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model, self._device = model, device
        self._loss, self._tokens, self._rows = 0.0, 0, 0

    def add(self, batch: Batch) -> None:
        loss, tokens = _sum_of_losses(self._model, {name: value.to(self._device) for name, value in batch.items()})
        self.take({"loss": loss, "tokens": tokens, "rows": len(batch["input_ids"])})

    def told(self) -> dict[str, Any]:
        return {"loss": self._loss, "tokens": self._tokens, "rows": self._rows}

    def take(self, told: Mapping[str, Any]) -> None:
        self._loss += told["loss"]
        self._tokens += told["tokens"]
        self._rows += told["rows"]

    def found(self, seconds: float) -> Evaluation:
        mean = self._loss / self._tokens if self._tokens else math.nan
        return Evaluation(mean, _exponential(mean), self._rows, self._tokens, seconds)


def evaluate(
    model: Any, batches: Iterable[Batch], device: torch.device, between: Callable[[], bool] = lambda: True
) -> Evaluation | None:
    """The loss of each trained token of `batches`, as `tally_up` measures it."""
    return tally_up(model, TokenTally(model, device), batches, between)


def tally_up(model: Any, tally: Tally, batches: Iterable[Batch], between: Callable[[], bool]) -> Evaluation | None:
    """What `tally` finds on all batches.

    `between` is called before each batch; when it answers False the evaluation is given up and None returned.
    """
    started = time.monotonic()
    with measuring(model):
        for batch in batches:
            if not between():
                return None
            tally.add(batch)
    return tally.found(time.monotonic() - started)


@contextlib.contextmanager
def measuring(model: Any) -> Iterator[None]:
    """The model in the mode of evaluation, without gradients; random state and mode are as before afterwards."""
    was_training = model.training
    model.eval()
    try:
        with untouched(), torch.no_grad():
            yield
    finally:
        model.train(was_training)


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
