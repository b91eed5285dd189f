"""Which rows one of several processes learns: of every optimizer step the same rows that one process would learn.

The micro-batches of a step, longest rows first, are dealt out in turn, so that those which are computed at the same
time are of about the same length. Where a last step has too few of them, a process gets a blank row that teaches
nothing, since every process has to take part in every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from datasets import Dataset, concatenate_datasets

from engine.train.dataset import Batch
from engine.train.order import StepOrder

BLANK_TOKENS = 2


class ShareOrder(StepOrder):
    """Row numbers of one epoch for process `rank` of `size`; the row after the last real one is the blank."""

    def __init__(self, lengths: Sequence[int], rows_per_step: int, seed: int, micro_batch: int, rank: int,
                 size: int) -> None:  # fmt: skip
        """`lengths` and `rows_per_step` are of the whole run; micro-batches of a step divide by `size`."""
        super().__init__(lengths, rows_per_step, seed)
        self._micro_batch, self._rank, self._size = micro_batch, rank, size

    def __len__(self) -> int:
        whole, rest = divmod(len(self._lengths), self._rows_per_step)
        own = self._rows_per_step // self._size
        return whole * own + len(self._share(list(range(rest))))

    def __iter__(self) -> Iterator[int]:
        rows = list(super().__iter__())
        for start in range(0, len(rows), self._rows_per_step):
            yield from self._share(rows[start : start + self._rows_per_step])

    def _share(self, rows: list[int]) -> list[int]:
        """This process's part of one step's rows."""
        batches = [rows[start : start + self._micro_batch] for start in range(0, len(rows), self._micro_batch)]
        own = batches[self._rank :: self._size]
        if len(own) < math.ceil(len(batches) / self._size):
            own.append([len(self._lengths)])
        return [row for batch in own for row in batch]


def with_blank(dataset: Dataset) -> Dataset:
    """The dataset with a row of two tokens behind it that nothing is learned from."""
    first = dataset[0]
    row = {"input_ids": first["input_ids"][:1] * BLANK_TOKENS, "labels": [-100] * BLANK_TOKENS,
           "seq_lengths": [BLANK_TOKENS]}  # fmt: skip
    blank = {name: [row[name]] for name in dataset.column_names if name in row}
    return concatenate_datasets([dataset, Dataset.from_dict(blank, features=dataset.features)])


def is_blank(batch: Batch) -> bool:
    """Whether a micro-batch is the blank row."""
    labels = batch["labels"]
    return tuple(labels.shape) == (1, BLANK_TOKENS) and bool((labels == -100).all())
