"""Classification with a real head: the model reads a row's question and a small layer on top chooses one of the labels.

Beside generative labels this answers in one pass, always with one of the labels and with a probability; but the result
is no chat model any more: no Ollama, no playground.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, Trainer

from engine.data.examples import Example
from engine.data.rendered import IGNORED, Rendered
from engine.errors import UserError
from engine.recipe import Recipe
from engine.train import adapter, load
from engine.train.class_evaluation import ClassTally
from engine.train.dataset import Batch, take_counts
from engine.train.enduring import Enduring
from engine.train.order import StepOrder


def names_of(*groups: Sequence[Example]) -> list[str]:
    """Every label of the data, sorted: the number of a class is its place here. UserError for fewer than two."""
    names = sorted({example.label for group in groups for example in group if example.label})
    if len(names) < 2:
        what = f"There {'is' if len(names) == 1 else 'are'} only {len(names)} label in the data, so nothing to choose."
        raise UserError(what, "data.source", "Give rows of at least two labels, or use the objective sft.")
    return names


def make_classes(rows: Sequence[Rendered], examples: Sequence[Example], names: Sequence[str]) -> Dataset:
    """One line per row: the tokens of its question, and the number of its class. UserError when a row has no label."""
    if len(rows) != len(examples) or not all(example.label in names for example in examples):
        fix = "Check which column holds the label: tunewright data."
        raise UserError("Some rows have no label.", "data.source", fix)
    return Dataset.from_dict({
        "input_ids": [_question(row) for row in rows], "labels": [names.index(one.label) for one in examples],
    })  # fmt: skip


def _question(row: Rendered) -> list[int]:
    end = next((place for place, label in enumerate(row.labels) if label != IGNORED), len(row.labels))
    return row.input_ids[:end]


class ClassCollator:
    """Rows padded on the right; the class stands in a column of its own, so that batches are cut like all others."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad = pad_token_id

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        lengths = [len(example["input_ids"]) for example in examples]
        width = max(lengths)
        ids = [list(e["input_ids"]) + [self.pad] * (width - n) for e, n in zip(examples, lengths, strict=True)]
        return {
            "input_ids": torch.tensor(ids),
            "attention_mask": torch.tensor([[1] * n + [0] * (width - n) for n in lengths]),
            "labels": torch.tensor([[int(example["labels"])] for example in examples]),
            "token_count": sum(lengths), "trained_count": len(examples),
        }  # fmt: skip


class ClassTrainer(Enduring, Trainer):  # type: ignore[misc]
    """Cross entropy over the labels, divided by the rows of the whole effective batch."""

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """The micro-batches of one optimizer step, kept in case it has to be done again."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.keep_batches(batches)
        return batches, items

    def _get_train_sampler(self, train_dataset: Any = None) -> StepOrder:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return StepOrder([len(ids) for ids in dataset["input_ids"]], self.rows_per_step, self.args.data_seed)

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels = inputs["labels"][:, 0]
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        total = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
        count = len(labels) if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(count).clamp(min=1)

    def tally(self) -> ClassTally:
        return ClassTally(self.model, self.args.device)


def held_out_batches(dataset: Dataset, collator: ClassCollator, size: int) -> DataLoader[Any]:
    """Held-out rows in their own order."""

    def collate(examples: list[dict[str, Any]]) -> Batch:
        batch = collator(examples)
        take_counts(batch)
        return batch

    return DataLoader(dataset, batch_size=size, shuffle=False, collate_fn=collate, generator=torch.Generator())


def load_classifier(directory: Path, recipe: Recipe, device: torch.device, names: Sequence[str], pad: int) -> Any:
    """The base model with a head for these labels, random by the recipe's seed where it has none. Raises UserError."""
    from transformers import set_seed

    set_seed(recipe.training.seed)
    kind = AutoModelForSequenceClassification
    numbers = {"num_labels": len(names), "id2label": dict(enumerate(names)),
               "label2id": {name: number for number, name in enumerate(names)}}  # fmt: skip
    model = load.load_model(directory, recipe, device, kind, numbers)
    model.config.pad_token_id = pad
    return model


def add_adapter(model: Any, recipe: Recipe) -> Any:
    """A fresh adapter beside a head that is trained whole."""
    return adapter.add_adapter(model, recipe.method, recipe.training.seed, task="SEQ_CLS")
