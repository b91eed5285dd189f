"""Tool calls, and the tools that may be called, in the form that chat templates read."""

from __future__ import annotations

import json
from typing import Any

from engine.data.examples import RowProblem
from engine.data.json_values import JsonError, parse_json
from engine.data.rows import snippet


def parsed_column(text: str, column: str) -> Any:
    """The value of a column that holds JSON as text. Raises RowProblem."""
    try:
        return parse_json(text)
    except JsonError as error:
        raise RowProblem("not JSON", f'"{snippet(column, 40)}" is text that is not JSON: {error.reason}') from None


def calls_from_text(value: object, place: int) -> list[dict[str, Any]]:
    """Tool calls that are written as JSON text or as objects. Raises RowProblem."""
    parsed = value
    if isinstance(value, str):
        try:
            parsed = parse_json(value)
        except JsonError as error:
            raise RowProblem("tool call", f"The tool call in message {place} is not JSON: {error.reason}") from None
    return [tool_call(item) for item in calls_as_list(parsed, "tool call")]


def calls_as_list(value: object, name: str) -> list[Any]:
    """One call or several, written as JSON text or as objects, as a list. Raises RowProblem."""
    if isinstance(value, str):
        value = parsed_column(value, name)
    if isinstance(value, dict):
        return [value]
    if isinstance(value, (list, tuple)) and value:
        return list(value)
    raise RowProblem("tool call", f'"{name}" holds no tool call.')


def tool_call(call: object) -> dict[str, Any]:
    """A tool call in the form that chat templates read: `{"type": "function", "function": {"name", "arguments"}}`."""
    if not isinstance(call, dict):
        raise RowProblem("tool call", "A tool call is not an object.")
    function = call.get("function", call)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RowProblem("tool call", "A tool call has no function name.")
    arguments = function.get("arguments", function.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)  # templates write the arguments as JSON themselves
        except (ValueError, RecursionError):
            raise RowProblem("tool call", "The arguments of a tool call are not JSON.") from None
    named = {"name": function["name"], "arguments": arguments}
    identity = {"id": call["id"]} if call.get("id") else {}
    return {**identity, "type": "function", "function": named}


def tools_from(value: object) -> tuple[Any, ...] | None:
    """The functions a conversation may call, as templates expect them; None when there are none. Raises RowProblem."""
    if value in (None, "", [], "[]"):
        return None
    if isinstance(value, str):
        value = parsed_column(value, "tools")
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, (list, tuple)) or not all(isinstance(tool, dict) for tool in value):
        raise RowProblem("tools", '"tools" is not a list of objects.')
    return tuple(tool if "function" in tool else {"type": "function", "function": tool} for tool in value) or None
