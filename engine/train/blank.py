"""A row that teaches nothing: what one of several processes gets where a last step has too few micro-batches.

Every process has to come to the end of every step, so that all can add up their gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset, concatenate_datasets

from engine.data.rendered import IGNORED
from engine.train.dataset import Batch, rows_of

BLANK_TOKENS = 2


def with_blank(dataset: Dataset) -> Dataset:
    """The dataset with a row of two tokens (or two answers of them) behind it that nothing is learned from."""
    first = dataset[0]
    blank = {name: [_blank_value(name, first[name])] for name in dataset.column_names}
    return concatenate_datasets([dataset, Dataset.from_dict(blank, features=dataset.features)])


def without_blank(dataset: Dataset) -> Dataset:
    """The rows of `with_blank` that are to be learned."""
    return dataset.select(range(len(dataset) - 1))


def _blank_value(column: str, like: Any) -> Any:
    """What a column holds of the blank row; a class is a single number, all other labels are one a token."""
    if column.endswith("input_ids"):
        return like[:1] * BLANK_TOKENS
    if column.endswith("labels"):
        return [IGNORED] * BLANK_TOKENS if isinstance(like, list) else IGNORED
    return {"seq_lengths": [BLANK_TOKENS], "label": False}[column]


def is_blank(batch: Batch) -> bool:
    """Whether a micro-batch is the blank row."""
    if rows_of(batch) != 1 or batch["input_ids"].shape[1] != BLANK_TOKENS:
        return False  # before a look at values, for which a GPU would be waited
    learned = batch["labels"] != IGNORED if "labels" in batch else batch["completion_mask"] != 0
    return not bool(torch.any(learned))
