"""What a rule of detection says of some rows: a format, the columns that play its roles, how sure that is, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.data.aliases import find_column
from engine.data.formats import FORMATS
from engine.data.rows import snippet
from engine.data.sample import Sample


@dataclass(frozen=True)
class Guess:
    name: str
    map: dict[str, str]
    certainty: float
    reason: str


def _messages_like(value: object, role: str, content: str) -> bool:
    return (
        isinstance(value, (list, tuple))
        and bool(value)
        and all(isinstance(item, dict) and role in item for item in value)
        and any(content in item or "tool_calls" in item for item in value)
    )


def conversation_column(sample: Sample) -> tuple[str, str]:
    """A column that holds lists of messages, and the format whose spelling it has."""
    for column in sample.columns:
        if sample.share(column, lambda value: _messages_like(value, "role", "content")) > 0.5:
            return column, "messages"
        if sample.share(column, lambda value: _messages_like(value, "from", "value")) > 0.5:
            return column, "sharegpt"
    return "", ""


def with_optional(sample: Sample, name: str, columns: Mapping[str, str], roles: Sequence[str]) -> dict[str, str]:
    """`columns` and the optional roles for which there is a column of the usual name, even one that is empty so far."""
    found = dict(columns)
    for role in roles:
        column = find_column(role, sample.every_column, found.values())
        if column:
            found[role] = column
    return {
        role: column for role, column in found.items() if role in (*FORMATS[name].required, *FORMATS[name].optional)
    }


def quoted(*columns: str) -> str:
    return " and ".join(f'"{snippet(column, 40)}"' for column in columns)
