"""What planning knows of the data: the numbers of a data summary."""

from __future__ import annotations

from typing import Protocol


class DataFacts(Protocol):
    """The numbers of a data summary that planning uses; token counts are per rendered row."""

    @property
    def rows(self) -> int: ...
    @property
    def trained_tokens(self) -> int: ...
    @property
    def total_tokens(self) -> int: ...
    @property
    def p95(self) -> int: ...
    @property
    def p99(self) -> int: ...
    @property
    def longest(self) -> int: ...
    @property
    def held_out_suggestion(self) -> int: ...


def is_raw_text(data: DataFacts | None) -> bool:
    """Whether rows are plain text: continued pre-training, with a rate and a schedule of its own."""
    return data is not None and getattr(data, "format", "") == "text"


def learned_rows(data: DataFacts, length: int) -> int:
    """Sequences that a pass learns from: the rows; of raw text, its pieces of `length` tokens.

    Lengths of single rows are not known here, so a row's last piece is taken as half full. Off by 0.3 % on 30 articles.
    """
    if not is_raw_text(data) or data.longest <= length or length <= 0:
        return data.rows
    return max(data.rows, round(data.total_tokens / length + data.rows / 2))
