"""In which order the rows are learned: at random, and within one optimizer step by length.

The rows of a step are those of a random order; only how they are divided into micro-batches is ours. Its gradient is
the mean over all its trained tokens, so that the division changes nothing but how much padding is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class StepOrder(Sampler[int]):  # type: ignore[misc]
    """Row numbers of one epoch. The same seed and epoch give the same order, so that a run goes on where it stopped.

    The random order is the one that accelerate gives plain trainers (`SeedableRandomSampler`): a generator seeded with
    seed + epoch. Sorting the whole epoch by length would save more padding, but then a step holds only rows of one
    length, and short answers would weigh more than they do in a mixed step.
    """

    def __init__(self, lengths: Sequence[int], rows_per_step: int, seed: int) -> None:
        """`lengths` in tokens, one a row; `rows_per_step` is the effective batch."""
        self._lengths = list(lengths)
        self._rows_per_step = rows_per_step
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch, and on resume with the epoch that was left."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        rows = torch.randperm(len(self._lengths), generator=generator).tolist()
        for start in range(0, len(rows), self._rows_per_step):
            yield from self._longest_first(rows[start : start + self._rows_per_step])

    def _longest_first(self, rows: list[int]) -> list[int]:
        """Longest first, so that an allocator's largest blocks exist when smaller ones are asked for."""
        return sorted(rows, key=self._lengths.__getitem__, reverse=True)
