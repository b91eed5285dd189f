"""Rendered rows as the tensors' source: a dataset for training, batches for evaluation, the longest batch of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from engine.errors import UserError
from engine.recipe_parts import TrainingPart


class Row(Protocol):
    """What training needs of a rendered row: token ids, and labels of the same length (-100 = not trained on)."""

    @property
    def input_ids(self) -> list[int]: ...

    @property
    def labels(self) -> list[int]: ...


Batch = dict[str, Any]


def make_dataset(rows: Sequence[Row], training: TrainingPart) -> Dataset:
    """The training set; with packing, short rows share a sequence (best fit, no row is split).

    Raises UserError when nothing in it would be trained on, or a row is longer than the sequence length.
    """
    check_rows(rows, training.sequence_length)
    columns = {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}
    dataset = Dataset.from_dict(columns)
    if training.packing:
        from trl import pack_dataset

        dataset = pack_dataset(dataset, training.sequence_length, "bfd")
    return dataset


def check_rows(rows: Sequence[Row], sequence_length: int) -> None:
    """Refuse data that cannot teach anything. Raises UserError."""
    if not rows:
        fix = "Give a file with rows, or hold fewer rows out for evaluation."
        raise UserError("There are no rows to train on.", "data.source", fix)
    too_long = sum(len(row.input_ids) > sequence_length for row in rows)
    if too_long:
        what = f"{too_long} rows are longer than the sequence length of {sequence_length} tokens."
        raise UserError(what, "training.sequence_length", "Choose a larger sequence length.")
    if not any(trained_tokens(row) for row in rows):
        what = "Not one token of the data would be trained on: every answer is empty or cut away."
        fix = "Choose a larger sequence length, or check which column holds the answer: tunewright data."
        raise UserError(what, "data.source", fix)


def trained_tokens(row: Row) -> int:
    """Tokens that a row teaches. The first token of a row is never predicted, so it does not count."""
    return sum(label != -100 for label in row.labels[1:])


class CountingCollator:
    """A collator that also says how many tokens it put into a batch, while they are still on the CPU."""

    def __init__(self, collator: Any) -> None:
        self._collator = collator

    def __call__(self, examples: list[Mapping[str, Any]]) -> Batch:
        batch: Batch = self._collator(examples)
        batch["token_count"] = sum(len(example["input_ids"]) for example in examples)
        batch["trained_count"] = int((batch["labels"][:, 1:] != -100).sum())
        return batch


def take_counts(batch: Batch) -> tuple[int, int]:
    """Remove the two counts from a batch: (tokens without padding, tokens trained on)."""
    return int(batch.pop("token_count", 0)), int(batch.pop("trained_count", 0))


def longest_batch(dataset: Dataset, collator: Any, rows: int) -> Batch:
    """The batch of `rows` sequences that takes most memory: the longest ones together."""
    lengths = [len(ids) for ids in dataset["input_ids"]]
    longest = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)[:rows]
    batch: Batch = collator([dataset[index] for index in sorted(longest)])
    take_counts(batch)
    return batch


def evaluation_batches(rows: Sequence[Row], pad_token_id: int, size: int) -> DataLoader[Any]:
    """Held-out rows in their own order, padded on the right; `size` rows a batch."""
    examples = [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]

    def collate(chosen: list[dict[str, list[int]]]) -> Batch:
        width = max(len(example["input_ids"]) for example in chosen)

        def padded(name: str, filler: int) -> torch.Tensor:
            return torch.tensor([example[name] + [filler] * (width - len(example[name])) for example in chosen])

        ids = padded("input_ids", pad_token_id)
        mask = torch.tensor([[1] * len(e["input_ids"]) + [0] * (width - len(e["input_ids"])) for e in chosen])
        return {"input_ids": ids, "labels": padded("labels", -100), "attention_mask": mask}

    return DataLoader(examples, batch_size=size, shuffle=False, collate_fn=collate, generator=torch.Generator())


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into up to `parts` smaller ones that hold the same rows, each padded to its own longest.

    A packed batch is one long row; it is cut between documents, which never see each other. One row stays one batch.
    """
    pieces = _split_packed(batch, parts) if "cu_seq_lens_q" in batch else _split_rows(batch, parts)
    return pieces if len(pieces) > 1 else [batch]


def largest_cut(batches: list[Batch]) -> int:
    """Into how many pieces the largest of these batches can be cut: its rows, or documents of packs."""
    return max((len(b["cu_seq_lens_q"]) - 1 if "cu_seq_lens_q" in b else rows_of(b)) for b in batches)


def rows_of(batch: Batch) -> int:
    """Rows of the data in a batch; a pair of a chosen and a rejected answer is one row and stands in it twice."""
    return int(batch["input_ids"].shape[0]) // (2 if "pairs" in batch else 1)


def _split_rows(batch: Batch, parts: int) -> list[Batch]:
    rows = rows_of(batch)
    size = max(1, -(-rows // parts))
    return [_rows_piece(batch, start, min(start + size, rows)) for start in range(0, rows, size)]


def _rows_piece(batch: Batch, start: int, end: int) -> Batch:
    """Some rows of a batch; of pairs, the rejected answers of these rows too. Columns go where all is padding."""
    rows = rows_of(batch)
    numbers = torch.arange(start, end, device=batch["input_ids"].device)
    doubled = torch.cat([numbers, numbers + rows]) if "pairs" in batch else numbers
    piece: Batch = {"pairs": torch.tensor(end - start)} if "pairs" in batch else {}
    for name, value in batch.items():
        if torch.is_tensor(value) and value.dim():
            piece[name] = value[doubled if value.shape[0] > rows else numbers]
    for prefix in ("", "KL_"):
        if f"{prefix}attention_mask" in piece:
            width = int(piece[f"{prefix}attention_mask"].sum(1).max())
            own = [name for name, value in piece.items() if value.dim() == 2 and name.startswith("KL_") == bool(prefix)]
            piece |= {name: piece[name][:, :width] for name in own}
    return piece


def _split_packed(batch: Batch, parts: int) -> list[Batch]:
    bounds = batch["cu_seq_lens_q"].tolist()
    target = -(-bounds[-1] // parts)
    cuts = [0]
    for previous, bound in zip(bounds, bounds[1:], strict=False):
        if bound - cuts[-1] > target and previous > cuts[-1]:
            cuts.append(previous)
    return [_packed_piece(batch, start, end) for start, end in zip(cuts, [*cuts[1:], bounds[-1]], strict=True)]


def _packed_piece(batch: Batch, start: int, end: int) -> Batch:
    bounds = batch["cu_seq_lens_q"]
    inside = bounds[(bounds >= start) & (bounds <= end)] - start
    longest = int(inside.diff().max())
    documents = batch["seq_idx"][:, start:end]
    return {
        **{name: batch[name][:, start:end] for name in ("input_ids", "labels", "position_ids")},
        "cu_seq_lens_q": inside, "cu_seq_lens_k": inside, "max_length_q": longest, "max_length_k": longest,
        "seq_idx": documents - documents[:, :1],
    }  # fmt: skip
