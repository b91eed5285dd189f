"""A rendered row: its tokens, what of them is learned, and what the sequence length cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

IGNORED = -100
"""The label of a token that is context only (PyTorch's cross entropy passes it over)."""

Kind = Literal["context", "trained", "cut"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """One row as training sees it.

    `input_ids` and `labels` are equally long and cut to the sequence length; a label is -100 where the token is
    context. `spans` cover the whole text as (first character, character behind, kind). `tokens_whole` is the length
    before the cut. `truncated` says that something was cut, `answer_truncated` that it was (also) trained tokens.
    `merged_start` says that the first characters of an answer share a token with the text before it, and are therefore
    not learned. `rejected` is the same question with the worse answer, where pairs are learned from; `good` is false
    for an answer that the data marks as bad and that is learned from as such.
    """

    text: str
    input_ids: list[int]
    labels: list[int]
    spans: tuple[tuple[int, int, Kind], ...]
    truncated: bool = False
    answer_truncated: bool = False
    tokens_whole: int = 0
    merged_start: bool = False
    row: int = 0
    rejected: Rendered | None = None
    good: bool = True

    @property
    def trained_tokens(self) -> int:
        """Tokens that training learns to predict; the first token of a row has nothing to be predicted from."""
        return sum(label != IGNORED for label in self.labels[1:])


def cut_to(
    text: str,
    ids: list[int],
    labels: list[int],
    starts: list[int],
    spans: list[tuple[int, int]],
    limit: int | None,
    merged: bool,
    row: int,
) -> Rendered:
    """Cut to `limit` tokens and describe the text as grey, bright and red pieces."""
    whole = len(ids)
    if limit is None or whole <= limit:
        return Rendered(text, ids, labels, _pieces(text, spans, len(text)), False, False, whole, merged, row)
    answer_cut = any(label != IGNORED for label in labels[limit:])
    pieces = _pieces(text, spans, starts[limit])
    return Rendered(text, ids[:limit], labels[:limit], pieces, True, answer_cut, whole, merged, row)


def _pieces(text: str, spans: Sequence[tuple[int, int]], cut_at: int) -> tuple[tuple[int, int, Kind], ...]:
    pieces: list[tuple[int, int, Kind]] = []
    at = 0
    for begin, end in sorted(spans):
        begin, end = min(begin, cut_at), min(end, cut_at)
        if begin > at:
            pieces.append((at, begin, "context"))
        if end > begin:
            pieces.append((begin, end, "trained"))
        at = max(at, end)
    if cut_at > at:
        pieces.append((at, cut_at, "context"))
    if len(text) > cut_at:
        pieces.append((cut_at, len(text), "cut"))
    return tuple(pieces)


def text_pieces(rendered: Rendered, sequence_length: int) -> list[Rendered]:
    """A long text as consecutive pieces of at most `sequence_length` tokens, so that nothing of it is cut off.

    `rendered` must be whole (rendered without a limit). A last piece of one token is left out: nothing in it can be
    learned.
    """
    ids, labels = rendered.input_ids, rendered.labels
    if len(ids) <= sequence_length:
        return [rendered]
    starts = range(0, len(ids), sequence_length)
    return [
        replace(
            rendered,
            input_ids=ids[at : at + sequence_length],
            labels=labels[at : at + sequence_length],
            tokens_whole=len(ids),
        )
        for at in starts
        if len(ids) - at > 1
    ]
