"""Amounts as people read them."""

from __future__ import annotations

GIB = 1 << 30
MIB = 1 << 20


def size_text(amount_bytes: float) -> str:
    """Bytes as "7.4 GiB" or "310 MiB"."""
    if abs(amount_bytes) >= GIB:
        return f"{amount_bytes / GIB:.1f} GiB"
    return f"{max(1, round(amount_bytes / MIB)) if amount_bytes else 0} MiB"


def count_text(parameters: int) -> str:
    """A parameter count as "7.2B", "494M" or "260K"."""
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= limit:
            amount = parameters / limit
            return f"{amount:.3g}{letter}"
    return str(parameters)


def duration_text(seconds: float) -> str:
    """A span as "40 seconds", "12 minutes", "3 hours" or "5 days"."""
    for limit, unit in ((172_800, "day"), (5_400, "hour"), (90, "minute")):
        if seconds >= limit:
            each = {"day": 86_400, "hour": 3_600, "minute": 60}[unit]
            amount = round(seconds / each)
            return f"{amount} {unit}{'' if amount == 1 else 's'}"
    amount = max(1, round(seconds))
    return f"{amount} second{'' if amount == 1 else 's'}"
