"""Which rows one of several processes learns: of every optimizer step the same rows that one process would learn.

The micro-batches of a step are those of one process. They are dealt out in turn, longest rows first, so that those
which are computed at the same time are of about the same length. Where a last step has too few of them, a process gets
a blank row (`engine.train.blank`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import Sampler


class ShareOrder(Sampler[int]):  # type: ignore[misc]
    """Row numbers of one epoch for process `rank` of `size`; the row after the last real one is the blank."""

    def __init__(self, whole: Any, rows_per_step: int, micro_batch: int, rank: int, size: int) -> None:
        """`whole` is the order of one process, `rows_per_step` its effective batch; micro-batches of a step divide by
        `size`."""
        self._whole, self._rows_per_step = whole, rows_per_step
        self._micro_batch, self._rank, self._size = micro_batch, rank, size

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch, and on resume with the epoch that was left."""
        self._whole.set_epoch(epoch)

    def __len__(self) -> int:
        whole, rest = divmod(len(self._whole), self._rows_per_step)
        own = self._rows_per_step // self._size
        return int(whole * own + len(self._share(range(rest))))

    def __iter__(self) -> Iterator[int]:
        rows = list(self._whole)
        for start in range(0, len(rows), self._rows_per_step):
            yield from self._share(rows[start : start + self._rows_per_step])

    def _share(self, rows: Sequence[int]) -> list[int]:
        """This process's part of one step's rows."""
        batches = [rows[start : start + self._micro_batch] for start in range(0, len(rows), self._micro_batch)]
        own = [list(batch) for batch in batches[self._rank :: self._size]]
        if len(own) < math.ceil(len(batches) / self._size):
            own.append([len(self._whole)])
        return [row for batch in own for row in batch]
