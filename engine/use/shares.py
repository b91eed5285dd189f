"""Shares of rows with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Z = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


@dataclass(frozen=True)
class Share:
    """A share of `count` rows with its 95 % Wilson interval, which is honest for few rows and for 0 % and 100 %."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        return self.hits / self.count if self.count else 0.0

    def interval(self) -> tuple[float, float]:
        """E. B. Wilson (1927), JASA 22, 209-212."""
        if not self.count:
            return 0.0, 1.0
        n, p = self.count, self.value
        centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval()
        return {"value": self.value, "low": low, "high": high, "hits": self.hits, "count": self.count}


def share(flags: Sequence[bool]) -> Share:
    return Share(sum(flags), len(flags))
