"""Rows by column: what detection looks at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from engine.data.rows import Row, as_text

FEW_LABELS = 50
"""More different labels than this in a sample are texts, not classes, unless they repeat often."""


class Sample:
    """The rows that are looked at, by column. Only columns that hold something count."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        filled = Counter(name for row in rows for name, value in row.fields.items() if value not in (None, "", [], {}))
        order = {name: place for place, name in enumerate(dict.fromkeys(name for row in rows for name in row.fields))}
        self.every_column = list(order)
        self.columns = sorted(filled, key=order.__getitem__)
        self.filled = filled

    def values(self, column: str) -> list[object]:
        return [row.fields[column] for row in self.rows if row.fields.get(column) not in (None, "", [], {})]

    def share(self, column: str, test: Callable[[object], bool]) -> float:
        values = self.values(column)
        return sum(map(test, values)) / len(values) if values else 0.0

    def is_label(self, column: str) -> bool:
        """Whether the values are short and repeat, as classes do."""
        values = [as_text(value) for value in self.values(column)]
        if not values or any(len(value) > 80 or "\n" in value for value in values):
            return False
        different = len(set(values))
        return different <= max(2, min(FEW_LABELS, len(values) // 2)) or different <= len(values) // 10
