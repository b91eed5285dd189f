"""A row as it is shown: its turns, or the rendered text in pieces of context, learned and cut."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from engine.data.examples import Example, RowProblem
from engine.data.rendered import Rendered

LONGEST_PIECE = 8000
"""Characters of one piece that are shown; of a longer one the beginning and the end, with the number left out."""
_TAIL = 2000


def bare_preview(example: Example) -> dict[str, Any]:
    """A row without a model: `row where turns`, and of a pair the text of the `rejected` answer."""
    turns = [
        {"role": turn.role, "content": shortened(turn.content), "trained": turn.role in {"assistant", "text"}}
        for turn in example.turns
    ]
    rejected = "\n".join(turn.content for turn in example.rejected if turn.content)
    more = {"rejected": shortened(rejected)} if rejected else {}
    return {"row": example.row, "where": example.where, "turns": turns, **more}


def preview(example: Example, result: Rendered | RowProblem) -> dict[str, Any]:
    """A row as rendered: pieces of text with their kind (context, trained, cut), or the problem it has."""
    bare = bare_preview(example)
    if isinstance(result, RowProblem):
        return {**bare, "problem": str(result)}
    pieces = [{"text": shortened(result.text[start:end]), "kind": kind} for start, end, kind in result.spans]
    return {
        **bare, "pieces": pieces, "tokens": result.tokens_whole, "kept_tokens": len(result.input_ids),
        "trained_tokens": result.trained_tokens, "truncated": result.truncated,
        "answer_truncated": result.answer_truncated,
    }  # fmt: skip


def shortened(text: str) -> str:
    """A text of which so much is shown that a screen stays quick; what is left out is counted in its place."""
    if len(text) <= LONGEST_PIECE:
        return text
    left = len(text) - LONGEST_PIECE
    return f"{text[: LONGEST_PIECE - _TAIL]} [... {left:,} characters not shown ...] {text[-_TAIL:]}"


def mark_specials(pieces: Sequence[dict[str, Any]], special_texts: Collection[str]) -> list[dict[str, Any]]:
    """The pieces, cut further where a special token stands; such a piece has `special` True.

    A tokenizer reads a special token wherever its text stands, also inside a row's own text, so looking for the texts
    shows the same as the ids do.
    """
    if not special_texts:
        return [dict(piece) for piece in pieces]
    longest_first = sorted(special_texts, key=len, reverse=True)
    pattern = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")
    return [part for piece in pieces for part in _split(piece, pattern)]


def _split(piece: dict[str, Any], pattern: re.Pattern[str]) -> Iterator[dict[str, Any]]:
    for place, text in enumerate(pattern.split(piece["text"])):
        if text:
            yield {**piece, "text": text, "special": place % 2 == 1}
