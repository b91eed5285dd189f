"""The values of a row by the roles that its columns play, which are the same in every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.data.examples import RowProblem, Turn
from engine.data.rows import Row, as_text, snippet
from engine.data.tool_calls import tools_from


def value_of(row: Row, columns: Mapping[str, str], role: str) -> Any:
    """The value that plays `role`, or None. RowProblem when the mapped column is not in the row."""
    column = columns.get(role)
    if column is None:
        return None
    if column not in row.fields:
        raise RowProblem("missing column", f'The row has no "{snippet(column, 40)}".')
    return row.fields[column]


def text_of(row: Row, columns: Mapping[str, str], role: str) -> str:
    """The text that plays `role`. RowProblem when there is none."""
    value = value_of(row, columns, role)
    if value is None:
        raise RowProblem("null", f'"{snippet(columns.get(role, role), 40)}" is null.')
    text = value if isinstance(value, str) else as_text(value)
    if not text.strip():
        raise RowProblem("empty", f'"{snippet(columns.get(role, role), 40)}" is empty.')
    return text


def optional_text_of(row: Row, columns: Mapping[str, str], role: str) -> str:
    """The text that plays `role`; empty where the row has none."""
    column = columns.get(role)
    return "" if column is None or row.fields.get(column) is None else as_text(row.fields[column])


def with_system(row: Row, columns: Mapping[str, str], turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """`turns` behind the system prompt of the row, unless they begin with one."""
    system = optional_text_of(row, columns, "system")
    has_one = bool(turns) and turns[0].role == "system"
    return (Turn("system", system), *turns) if system and not has_one else turns


def tools_of(row: Row, columns: Mapping[str, str]) -> tuple[Any, ...] | None:
    """The tools that the model may call in this row, as objects; None without such a column."""
    return tools_from(row.fields.get(columns["tools"])) if "tools" in columns else None


def as_context(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The same turns, of which none is learned."""
    return tuple(Turn(turn.role, turn.content, turn.extra, False) for turn in turns)


def is_messages(value: object) -> bool:
    """Whether a value is a list of objects, as a conversation is."""
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, dict) for item in value)
