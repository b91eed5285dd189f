"""Pairs and judged answers as tensors: datasets, batches, and the order in which judged answers are learned.

A batch of pairs holds the chosen answers and, behind them, the rejected ones, as TRL's trainers expect it; which tokens
belong to an answer is known from the rendering, so that an answer of several turns is judged whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler

from engine.data.rendered import IGNORED, Rendered
from engine.errors import UserError
from engine.recipe_parts import TrainingPart
from engine.train.dataset import Batch, check_rows

PAIR_REFERENCES = ("ref_chosen_logps", "ref_rejected_logps")
JUDGED_REFERENCES = ("ref_logps", "ref_KL_logps")
"""Columns with the reference model's log-probabilities, by the names that TRL reads."""


def make_pairs(rows: Sequence[Rendered], training: TrainingPart) -> Dataset:
    """One line per pair. Raises UserError as `check_rows`."""
    rejected = [row.rejected for row in rows if row.rejected is not None]
    check_rows(rows, training.sequence_length)
    check_rows(rejected, training.sequence_length)
    return Dataset.from_dict({
        "input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows],
        "rejected_input_ids": [row.input_ids for row in rejected], "rejected_labels": [row.labels for row in rejected],
    })  # fmt: skip


def make_judged(rows: Sequence[Rendered], training: TrainingPart, seed: int | None = None) -> Dataset:
    """One line per judged answer, each with a question that another answer of its micro-batch is put behind.

    KTO measures how far the model moved (KL) on such mismatched texts, so rows are shuffled once by `seed` (None keeps
    their order) and stay in these micro-batches. Raises UserError as `check_rows`, and for a single row.
    """
    check_rows(rows, training.sequence_length)
    if len(rows) < 2:
        raise UserError("KTO needs at least two rows to compare.", "data.source", "Give more rows.")
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        rows = [rows[index] for index in torch.randperm(len(rows), generator=generator).tolist()]
    partners = _partners(len(rows), training.micro_batch_size)
    mixed = [_mismatched(row, rows[other], training.sequence_length) for row, other in zip(rows, partners, strict=True)]
    return Dataset.from_dict({
        "input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows],
        "KL_input_ids": [ids for ids, _ in mixed], "KL_labels": [labels for _, labels in mixed],
        "label": [row.good for row in rows],
    })  # fmt: skip


def _partners(count: int, size: int) -> list[int]:
    """Whose answer is put behind each row's question: the row before it in its micro-batch, the first takes the last.

    A last row that is alone takes the first row's.
    """
    found = []
    for start in range(0, count, size):
        end = min(start + size, count)
        found += [end - 1, *range(start, end - 1)] if end - start > 1 else [0]
    return found


def _mismatched(row: Rendered, other: Rendered, limit: int) -> tuple[list[int], list[int]]:
    begin, behind = _answer_start(row), _answer_start(other)
    ids = row.input_ids[:begin] + other.input_ids[behind:]
    labels = [IGNORED] * begin + other.labels[behind:]
    return ids[:limit], labels[:limit]


def _answer_start(row: Rendered) -> int:
    return next((place for place, label in enumerate(row.labels) if label != IGNORED), len(row.labels))


class PairCollator:
    """Batches of pairs: the chosen rows, then the rejected ones, padded on the right together."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad = pad_token_id

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        ids = [one["input_ids"] for one in examples] + [one["rejected_input_ids"] for one in examples]
        labels = [one["labels"] for one in examples] + [one["rejected_labels"] for one in examples]
        batch = {**padded(ids, labels, self._pad), "pairs": torch.tensor(len(examples))}
        return {**batch, **_references(examples, PAIR_REFERENCES), **_counts(ids, labels)}


class JudgedCollator:
    """Batches of judged answers, each beside its mismatched text (`KL_...`)."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad = pad_token_id

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        ids, labels = [one["input_ids"] for one in examples], [one["labels"] for one in examples]
        mixed = padded([one["KL_input_ids"] for one in examples], [one["KL_labels"] for one in examples], self._pad)
        batch = {**padded(ids, labels, self._pad), **{f"KL_{name}": value for name, value in mixed.items()}}
        batch["label"] = torch.tensor([bool(one["label"]) for one in examples])
        return {**batch, **_references(examples, JUDGED_REFERENCES), **_counts(ids, labels)}


def padded(ids: Sequence[list[int]], labels: Sequence[list[int]], pad: int) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and `completion_mask` (1 where a token is learned), rows by longest row."""
    width = max(map(len, ids))

    def filled(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
        return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])

    return {
        "input_ids": filled(ids, pad), "attention_mask": filled([[1] * len(row) for row in ids], 0),
        "completion_mask": filled([[int(label != IGNORED) for label in row] for row in labels], 0),
    }  # fmt: skip


def _references(examples: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([one[name] for one in examples]) for name in names if name in examples[0]}


def _counts(ids: Sequence[list[int]], labels: Sequence[list[int]]) -> dict[str, int]:
    trained = sum(label != IGNORED for row in labels for label in row[1:])
    return {"token_count": sum(map(len, ids)), "trained_count": trained}


def pair_lengths(dataset: Dataset) -> list[int]:
    """The longer of the two answers with its question, in tokens, per pair."""
    return [max(map(len, both)) for both in zip(dataset["input_ids"], dataset["rejected_input_ids"], strict=True)]


def judged_lengths(dataset: Dataset) -> list[int]:
    """The longer of a row and its mismatched text, in tokens."""
    return [max(map(len, both)) for both in zip(dataset["input_ids"], dataset["KL_input_ids"], strict=True)]


class BlockOrder(Sampler[int]):  # type: ignore[misc]
    """Row numbers of one epoch: micro-batches at random, the rows inside each as they are; a short last one stays last.

    The same seed and epoch give the same order, so that a run goes on where it stopped.
    """

    def __init__(self, rows: int, block: int, seed: int) -> None:
        self._rows, self._block, self._seed, self._epoch = rows, block, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch, and on resume with the epoch that was left."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        whole = self._rows // self._block
        for block in torch.randperm(whole, generator=generator).tolist():
            yield from range(block * self._block, (block + 1) * self._block)
        yield from range(whole * self._block, self._rows)
