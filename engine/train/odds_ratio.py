"""TRL's ORPO trainer as the trainer of a run.

It is in the experimental part of TRL. It needs no reference model, learns the chosen answers with their questions (as
in the paper, unlike supervised fine-tuning here) and computes the logits of whole rows at once, which takes memory.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from trl.experimental.orpo import ORPOTrainer

from engine.train.dataset import Batch, rows_of
from engine.train.preference import Preferring


class OrpoTrainer(Preferring, ORPOTrainer):  # type: ignore[misc]
    """Odds ratio preference optimization (Hong and others 2024), from TRL's experimental part."""

    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        return feature

    @staticmethod
    def concatenated_inputs(batch: Batch, *_: Any, device: Any = None, **__: Any) -> Batch:
        """Our batch under the names of TRL's."""
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
        found = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}
        return {f"concatenated_{name}": value.to(device) for name, value in found.items()}

    def _as_trl_reads(self, inputs: Batch) -> Batch:
        return {**inputs, "chosen_labels": inputs["input_ids"][: rows_of(inputs)]}

    _stored_metrics: Any

    def swap_metrics(self, metrics: Any = None) -> Any:
        before = self._stored_metrics
        self._stored_metrics = metrics if metrics is not None else defaultdict(lambda: defaultdict(list))
        return before

    def logged(self) -> dict[str, float]:
        values: dict[str, list[float]] = self._stored_metrics["train"]  # TRL stores there whatever the mode is
        return {name: sum(found) / len(found) for name, found in values.items() if found}
