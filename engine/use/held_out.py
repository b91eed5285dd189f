"""The loss on rows that were held out, row by row, so that two models can be compared on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.use.generate import without_gradients

LOSS_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class RowLosses:
    """Per row, in the order given: the summed negative log-likelihood (nats) and the number of trained tokens."""

    sums: tuple[float, ...]
    tokens: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Loss per trained token over all rows. Every token counts the same, however rows are put into batches."""
        count = sum(self.tokens)
        return sum(self.sums) / count if count else float("nan")


@without_gradients
def held_out_losses(
    model: Any, rows: Sequence[Any], pad_id: int, report: Callable[[int, int], None] = lambda done, total: None
) -> RowLosses:
    """Losses of rendered rows (`input_ids` and `labels` each, -100 where nothing is learned)."""
    sums, tokens, done = [0.0] * len(rows), [0] * len(rows), 0
    for batch in _batches(rows):
        for place, loss, count in zip(batch, *_batch_losses(model, [rows[i] for i in batch], pad_id), strict=True):
            sums[place], tokens[place] = loss, count
        done += len(batch)
        report(done, len(rows))
    return RowLosses(tuple(sums), tuple(tokens))


def _batch_losses(model: Any, batch: Sequence[Any], pad_id: int) -> tuple[list[float], list[int]]:
    width = max(len(row.input_ids) for row in batch)
    ids = torch.tensor([[*row.input_ids, *[pad_id] * (width - len(row.input_ids))] for row in batch])
    labels = torch.tensor([[*row.labels, *[-100] * (width - len(row.labels))] for row in batch])[:, 1:]
    mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in batch])
    logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2).float(), labels.to(logits.device), reduction="none", ignore_index=-100
    )
    return losses.sum(-1).tolist(), (labels != -100).sum(-1).tolist()


def _batches(rows: Sequence[Any]) -> Iterator[list[int]]:
    """Indices of rows of like length together, at most LOSS_BATCH_TOKENS padded tokens in a batch."""
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids)):
        if batch and (len(batch) + 1) * len(rows[index].input_ids) > LOSS_BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
