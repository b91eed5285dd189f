"""Several data sources in one run, each with how often its rows are used in a pass.

Rows are held out of all sources together before any is repeated, so that no repeated row stands on both sides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from engine.errors import UserError

_WEIGHTED = re.compile(r"^(?P<source>.*?)(?:\s+\*\s*(?P<weight>[0-9.]+))?$")
LARGEST_WEIGHT = 100.0


@dataclass(frozen=True)
class MoreData:
    """`weight` 0.5 uses a random half of the rows, 2 every row twice in a pass."""

    source: str
    weight: float


def parse_more(texts: Sequence[str]) -> list[MoreData]:
    """The entries of `data.more`, each `SOURCE` or `SOURCE * WEIGHT`. UserError for one that is neither."""
    return [_parse(text) for text in texts]


def _parse(text: str) -> MoreData:
    found = _WEIGHTED.match(text.strip())
    assert found is not None, "the pattern matches every text"
    try:
        weight = float(found["weight"] or 1)
    except ValueError:
        weight = 0.0
    if not found["source"] or found["source"].startswith("*") or not 0 < weight <= LARGEST_WEIGHT:
        fix = f"Write a file, or a file * a number above 0 and up to {LARGEST_WEIGHT:g}, such as chat.jsonl * 0.5."
        raise UserError(f"{text!r} names no data with a weight.", "data.more", fix)
    return MoreData(found["source"], weight)


def all_weighted(train: Sequence[int], parts: Sequence[tuple[float, range]], seed: int) -> list[int]:
    """The numbers of the rows to train on, those of each source (its weight, its numbers) as often as that says."""
    found: list[int] = []
    for weight, numbers in parts:
        found += weighted([index for index in train if index in numbers], weight, seed)
    return found


def weighted(indices: Sequence[int], weight: float, seed: int) -> list[int]:
    """`indices` as often as `weight` says, ascending within each repetition; the part is drawn by the seed for ever.

    2.5 is every one twice and a half of them once more.
    """
    whole = floor(weight)
    extra = round((weight - whole) * len(indices))
    drawn = sorted(indices, key=lambda index: hashlib.sha256(f"{seed}:mix:{index}".encode()).digest())[:extra]
    return [*(index for _ in range(whole) for index in indices), *sorted(drawn)]
