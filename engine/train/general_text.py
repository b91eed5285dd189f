"""What a run forgets: the loss on a text of another kind that it does not train on, before the first step and since."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.data.rendered import Rendered
from engine.train.dataset import evaluation_batches
from engine.train.enduring import Enduring
from engine.train.evaluation import evaluate
from engine.train.session import Session

FORGETTING = math.log(1.1)
"""A loss this far above that of the start, in nats per token: perplexity a tenth higher."""


class GeneralText:
    """Measures beside every evaluation."""

    def __init__(self, session: Session, trainer: Enduring, rows: Sequence[Rendered], pad_token_id: int) -> None:
        self._session = session
        self._trainer = trainer
        self._batches = evaluation_batches(rows, pad_token_id, session.recipe.training.micro_batch_size)
        self._warned = False

    def begin(self) -> None:
        """Measure the untrained model, unless an earlier engine of this run has."""
        if self._session.progress.general_start is None:
            self._session.progress.general_start = self._measure()

    def fields(self, step: int) -> dict[str, float]:
        """What the event `eval` says of it. Warns once when much is forgotten."""
        now, start = self._measure(), self._session.progress.general_start
        if start is None or not math.isfinite(now):
            return {}
        if now > start + FORGETTING and not self._warned:
            self._warned = True
            self._warn(step, start, now)
        return {"general_loss": now, "general_start": start}

    def _measure(self) -> float:
        self._session.reporter.tick()
        found = evaluate(self._trainer.model, self._batches, self._trainer.args.device)
        return found.loss if found is not None else math.nan

    def _warn(self, step: int, start: float, now: float) -> None:
        what = (f"The model forgets: the perplexity of the general text rose from {math.exp(start):.4g} to "
                f"{math.exp(now):.4g}.")  # fmt: skip
        fix = "A lower learning rate, fewer passes, LoRA, or general text among the data (data.more) keep more of it."
        self._session.reporter.warning(what, f"step {step}", fix, kind="forgetting")
