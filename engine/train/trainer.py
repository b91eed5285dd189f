"""Supervised fine-tuning: TRL's trainer with our own loss call and our own order of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from trl import SFTTrainer
from trl.trainer.utils import add_fused_lm_head

from engine.train.dataset import Batch, CountingCollator
from engine.train.enduring import Enduring
from engine.train.loss import direct_loss, direct_loss_suits
from engine.train.order import StepOrder


class RunTrainer(Enduring, SFTTrainer):  # type: ignore[misc]
    """One process, one device. Checkpoints, evaluation and events are the business of the callback beside it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.data_collator = CountingCollator(self.data_collator)
        self._base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        self._direct = not self.aux_loss_enabled and direct_loss_suits(self._base, self.args.device)
        if not self.aux_loss_enabled:
            # the trainer asked for entropy and accuracy as well; asking again leaves them out of every step
            add_fused_lm_head(self._base, outputs=("log_probs",))

    def _get_train_sampler(self, train_dataset: Any = None) -> StepOrder:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(ids) for ids in dataset["input_ids"]]
        return StepOrder(lengths, self.rows_per_step, self.args.data_seed)

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross entropy summed over the batch, divided by the trained tokens of the whole effective batch.

        TRL's own version also moves entropy, accuracy and token counts off the device in every micro-batch.
        """
        if self.aux_loss_enabled or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self._direct:
            total, trained = direct_loss(self._base, inputs)
            return total / torch.as_tensor(trained if num_items_in_batch is None else num_items_in_batch).clamp(min=1)
        inputs["use_cache"] = False
        outputs = model(**inputs, fused_lm_head=True)
        count = outputs.label_mask.sum() if num_items_in_batch is None else num_items_in_batch
        return -outputs.log_probs.sum() / torch.as_tensor(count).clamp(min=1)

    def get_batch_samples(self, epoch_iterator: Iterator[Batch], num_batches: int, device: Any) -> Any:
        """Fetch the micro-batches of one optimizer step, and keep them in case the step has to be done again."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.keep_batches(batches)
        return batches, items
