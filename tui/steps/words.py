"""Numbers in words, the same on every page."""

from __future__ import annotations

GIGABYTE = 1024**3
"""Memory is counted in GiB (2**30 bytes), as the planner's reasons do; shop labels (tiers, cards) stay in GB."""


def gigabytes(size_bytes: float) -> str:
    """`11.2 GiB`; below one in MiB and below half of that in KiB, so that small adapters do not read as 0."""
    if 0 < abs(size_bytes) < 1024**2 / 2:
        return f"{size_bytes / 1024:.0f} KiB"
    if abs(size_bytes) < GIGABYTE:
        return f"{size_bytes / 1024**2:.0f} MiB"
    amount = size_bytes / GIGABYTE
    return f"{amount:.0f} GiB" if abs(amount) >= 100 else f"{amount:.1f} GiB"


def count(number: float) -> str:
    """`7.6 billion`, `2.1 million`, `340 thousand`, `812`."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e4, "thousand")):
        if number >= size * 0.9995:
            amount = number / (1e3 if word == "thousand" else size)
            whole = amount >= 100 or word == "thousand" or amount == int(amount)
            return f"{amount:.0f} {word}" if whole else f"{amount:.1f} {word}"
    return f"{number:,.0f}"


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `1 h 40 min`, `2 days 3 h`."""
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def shown(value: object) -> str:
    """A recipe value as a person reads and types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{role} = {column!r}" for role, column in value.items()) + "}" if value else "{}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def plural(number: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


METHOD_TITLES = {"qlora": "QLoRA", "lora": "LoRA", "full": "Full fine-tuning"}
