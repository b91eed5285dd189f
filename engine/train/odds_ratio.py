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

    cut_note = " The likelihood of the better answers is a mean over the tokens of fewer rows at once from now on."

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        # else, while the last step of an epoch is learned, accelerate leaves rows out of every mean of what is logged:
        # it takes them for rows that were repeated to fill a batch, and here none are
        self.accelerator.gather_for_metrics = self.accelerator.gather

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

    def step_log(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = self._stored_metrics["train"]
        return found

    def logged(self) -> dict[str, float]:
        values: dict[str, list[float]] = self._stored_metrics["train"]  # TRL stores there whatever the mode is
        return {name: sum(found) / len(found) for name, found in values.items() if found}
