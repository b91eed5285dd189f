"""What the planner needs to know about the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DataSummary:
    """Counts over all usable rows. Lengths (`p50` to `longest`) are tokens of a whole row, before any cut."""

    rows: int
    trained_tokens: int
    total_tokens: int
    p50: int
    p95: int
    p99: int
    longest: int
    format: str
    held_out_suggestion: int

    def as_dict(self) -> dict[str, Any]:
        """The form in which it crosses a process border."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> DataSummary:
        """Rebuild what `as_dict` wrote."""
        numbers = {name: int(fields[name]) for name in cls.__dataclass_fields__ if name != "format"}
        return cls(format=str(fields["format"]), **numbers)


def percentile(ascending: Sequence[int], share: float) -> int:
    """The smallest length that at least `share` of the values do not exceed (nearest rank); 0 for no values."""
    if not ascending:
        return 0
    rank = max(1, -(-len(ascending) * round(share * 1000) // 1000))
    return ascending[min(len(ascending), rank) - 1]
