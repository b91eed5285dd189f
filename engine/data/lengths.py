"""How long the rows are in tokens, and what each sequence length would cut."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.data.summary import percentile
from engine.data.token_facts import TokenFacts

CANDIDATES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
_BARS = 24
TEXT_LENGTH = 2048
"""Long texts are split into pieces of at most this many tokens when nothing else is asked for."""


@dataclass(frozen=True)
class CutAt:
    """What a sequence length does: rows that lose something, and rows whose answer loses something."""

    length: int
    rows: int
    answers: int
    share: float


@dataclass(frozen=True)
class Lengths:
    """Token lengths of whole rows. `histogram` is (from, to, rows), `to` not included. `sampled_from` is the number of
    rows that the figures stand for when only a part was counted, else 0."""

    rows: int
    mean: float
    p50: int
    p95: int
    p99: int
    longest: int
    total_tokens: int
    trained_tokens: int
    histogram: tuple[tuple[int, int, int], ...]
    cut_at: tuple[CutAt, ...]
    suggested: int
    sampled_from: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_lengths(facts: Sequence[TokenFacts], sampled_from: int = 0, is_text: bool = False) -> Lengths:
    """Figures over whole rows. `sampled_from` is the number of usable rows when `facts` are only a part of them; the
    token totals are then scaled up to it. Texts are split, not cut, so their suggested length stays moderate."""
    lengths = sorted(row.tokens for row in facts)
    ends = sorted(row.end for row in facts)
    scale = sampled_from / len(lengths) if sampled_from and lengths else 1.0
    total = sum(lengths)
    longest = lengths[-1] if lengths else 0
    suggested = suggested_length(lengths)
    cuts = tuple(
        _cut_at(length, lengths, ends) for length in CANDIDATES if length < longest * 2 or length == CANDIDATES[0]
    )
    return Lengths(
        len(lengths), round(total / len(lengths), 1) if lengths else 0.0,
        percentile(lengths, 0.5), percentile(lengths, 0.95), percentile(lengths, 0.99), longest,
        round(total * scale), round(sum(row.trained for row in facts) * scale), _histogram(lengths), cuts,
        min(suggested, TEXT_LENGTH) if is_text else suggested, sampled_from,
    )  # fmt: skip


def _cut_at(length: int, lengths: Sequence[int], ends: Sequence[int]) -> CutAt:
    rows = len(lengths) - bisect_right(lengths, length)
    answers = len(ends) - bisect_right(ends, length)
    return CutAt(length, rows, answers, round(rows / len(lengths), 4) if lengths else 0.0)


def suggested_length(ascending: Sequence[int]) -> int:
    """The 99th percentile rounded up to a multiple of 64 (tensor cores like multiples), at least 64; the longest row
    when that is hardly longer."""
    if not ascending:
        return 64
    p99, longest = percentile(ascending, 0.99), ascending[-1]
    wanted = longest if longest <= p99 * 1.25 else p99
    return max(64, -(-wanted // 64) * 64)


def _histogram(ascending: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    """Up to 24 bars of equal, round width that end behind the 99.5th percentile; one more holds the tail."""
    if not ascending:
        return ()
    top = percentile(ascending, 0.995)
    width = _round_width((top - ascending[0] + 1) / _BARS)
    bars: list[tuple[int, int, int]] = []
    start, below = ascending[0] // width * width, 0
    while start <= top:
        upto = bisect_right(ascending, start + width - 1)
        bars.append((start, start + width, upto - below))
        start, below = start + width, upto
    if below < len(ascending):
        bars.append((start, ascending[-1] + 1, len(ascending) - below))
    return tuple(bars)


def _round_width(exact: float) -> int:
    for width in (
        1,
        2,
        4,
        5,
        8,
        10,
        16,
        20,
        25,
        32,
        50,
        64,
        100,
        128,
        200,
        250,
        256,
        500,
        512,
        1000,
        1024,
        2000,
        2048,
        4096,
    ):
        if width >= exact:
            return width
    return -(-int(exact) // 4096) * 4096
