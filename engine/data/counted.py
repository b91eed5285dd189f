"""Numbers of rows in sentences."""

from __future__ import annotations


def count_rows(number: int, one: str = "", many: str = "") -> str:
    """`1 row has`, `5 rows have`: the count with the form of a verb that goes with it; without verbs only the count."""
    words = f"1 row {one}" if number == 1 else f"{number} rows {many}"
    return words.strip()
