"""Which kind of value each column holds, and where that changes, as in a file made of two kinds of export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.data.rows import Row, WrittenFloat

_KINDS: dict[type, str] = {
    str: "text", bool: "true or false", int: "numbers", float: "numbers", WrittenFloat: "numbers", list: "lists",
    tuple: "lists", dict: "objects",
}  # fmt: skip
MOST_COLUMNS = 1000


@dataclass
class TypeChange:
    """A column that holds `before` in its first rows and `after` from `where` on; `rows` rows are not of the first
    kind."""

    column: str
    before: str
    after: str
    where: str
    rows: int = 0


@dataclass
class ColumnTypes:
    """Fed with every row; nulls say nothing about a column."""

    first: dict[str, str] = field(default_factory=dict)
    changed: dict[str, TypeChange] = field(default_factory=dict)

    def see(self, row: Row) -> None:
        """Take one row in."""
        for name, value in row.fields.items():
            kind = _KINDS.get(type(value))
            if kind is None or kind == self.first.get(name):
                continue
            if name not in self.first:
                if len(self.first) < MOST_COLUMNS:
                    self.first[name] = kind
                continue
            change = self.changed.get(name)
            if change is None:
                change = self.changed[name] = TypeChange(name, self.first[name], kind, row.where)
            change.rows += 1

    def of(self, columns: Iterable[str]) -> list[TypeChange]:
        """Changes in these columns, in the order of the file."""
        wanted = set(columns)
        return [change for change in self.changed.values() if change.column in wanted]
