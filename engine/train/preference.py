"""TRL's DPO and KTO trainers as trainers of a run: our batches, our order, and losses over the effective batch.

Where memory runs out, micro-batches are cut between pairs, and the gradient stays that of the whole effective batch.
KTO compares each answer with how far the model moved on its micro-batch as a whole: cut, it measures that on fewer
rows, so its steps differ a little from then on, and the `oom` event says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from trl import DPOTrainer, KTOTrainer
from trl.trainer import dpo_trainer, kto_trainer

from engine.train.blank import is_blank
from engine.train.dataset import Batch, rows_of
from engine.train.enduring import Enduring
from engine.train.order import StepOrder
from engine.train.preference_data import BlockOrder, judged_lengths, pair_lengths
from engine.train.preference_evaluation import PreferenceTally


@contextmanager
def no_second_model() -> Iterator[None]:
    """Without a reference at hand TRL loads one from where the trained model came from and holds it to the end. Ours is
    handed over, is the model with its adapter off, or was computed beforehand so that no second copy is held."""
    usual = {module: module.create_model_from_path for module in (dpo_trainer, kto_trainer)}
    for module in usual:
        module.create_model_from_path = lambda *_, **__: None
    try:
        yield
    finally:
        for module, function in usual.items():
            module.create_model_from_path = function


class Preferring(Enduring):
    """What these trainers have in common: prepared rows, and losses that are means over the effective batch."""

    train_dataset: Any
    _metrics: Any

    cut_note = ""
    """What is different once micro-batches are cut, for the event that says so."""

    def __init__(self, **arguments: Any) -> None:
        with no_second_model():
            super().__init__(**arguments)
        self.loss_is_scaled_for_ga = True
        self._forget_reference_adapter(keep=self._starts_from_an_adapter())

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _starts_from_an_adapter(self) -> bool:
        """Whether training goes on with an adapter that has learned something: then that one is the reference."""
        weights = [weight for name, weight in self.model.named_parameters() if ".lora_B.default." in name]
        return any(bool(weight.detach().any()) for weight in weights)

    def _forget_reference_adapter(self, keep: bool) -> None:
        """TRL copies the adapter as reference. A fresh one changes nothing, so the base alone is the same reference."""
        if "ref" not in getattr(self.model, "peft_config", {}):
            return
        for name, weight in self.model.named_parameters():
            if ".ref." in name:
                weight.requires_grad_(False)
        if not keep:
            self.model.delete_adapter("ref")

    def get_batch_samples(self, epoch_iterator: Iterator[Batch], num_batches: int, device: Any) -> Any:
        """Fetch the micro-batches of one optimizer step; with them goes the number of rows in all of them."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.keep_batches(batches)
        return batches, torch.tensor(sum(rows_of(batch) for batch in batches if not is_blank(batch)))

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss, a mean over the rows at hand, as their share of the rows of the whole effective batch."""
        rows = rows_of(inputs)
        loss = super().compute_loss(model, self._as_trl_reads(inputs))
        return loss if num_items_in_batch is None else loss * rows / int(num_items_in_batch)

    def _as_trl_reads(self, inputs: Batch) -> Batch:
        return {name: value for name, value in inputs.items() if name != "pairs"}

    def longest_batch(self) -> Batch:
        lengths = self._lengths(self.train_dataset)
        rows = int(self.args.per_device_train_batch_size)
        longest = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)[:rows]
        batch: Batch = self.data_collator([self.train_dataset[index] for index in sorted(longest)])
        for name in ("token_count", "trained_count"):
            batch.pop(name)
        return batch

    def _lengths(self, dataset: Any) -> Sequence[int]:
        return pair_lengths(dataset)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return StepOrder(self._lengths(dataset), self.rows_per_step, self.args.data_seed)

    def train(self, *arguments: Any, **options: Any) -> Any:
        self.swap_metrics()  # the rehearsal left some
        return super().train(*arguments, **options)

    def tally(self) -> PreferenceTally:
        return PreferenceTally(self)

    def step_log(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = self._metrics["train"]
        return found

    def swap_metrics(self, metrics: Any = None) -> Any:
        """Put `metrics` (none) in the place of what was logged since the last step, and return that."""
        before = self._metrics
        self._metrics = metrics if metrics is not None else {name: defaultdict(list) for name in ("train", "eval")}
        return before

    def logged(self) -> dict[str, float]:
        """The means of what was logged since the last `swap_metrics`, by TRL's names."""
        values: dict[str, list[float]] = self._metrics["eval"]
        return {name: sum(found) / len(found) for name, found in values.items() if found}

    def take_references(self, columns: dict[str, list[float]]) -> None:
        """Use log-probabilities of the reference that were computed before; one value per row of `learned_rows`."""
        for name, values in columns.items():
            others = [0.0] * (len(self.train_dataset) - len(values))
            self.train_dataset = self.train_dataset.add_column(name, [*values, *others])
        self.precompute_ref_logps = True


class DpoTrainer(Preferring, DPOTrainer):  # type: ignore[misc]
    """Direct preference optimization (Rafailov and others 2023)."""


class KtoTrainer(Preferring, KTOTrainer):  # type: ignore[misc]
    """Kahneman-Tversky optimization (Ethayarajh and others 2024)."""

    cut_note = " The distance to the reference (KL) is measured on fewer rows at once from now on."

    def _lengths(self, dataset: Any) -> Sequence[int]:
        return judged_lengths(dataset)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return BlockOrder(len(dataset), self.args.per_device_train_batch_size, self.args.data_seed)
