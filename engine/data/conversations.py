"""Conversations as people write them: role/content and from/value lists, typed parts, tool calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from engine.data.examples import RowProblem, Turn
from engine.data.json_values import JsonError, parse_json
from engine.data.rows import as_text, json_text, snippet

_ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "question": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "ai": "assistant", "bing": "assistant", "bard": "assistant", "answer": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "tool_response": "tool", "function_response": "tool",
    "function_call": "function_call", "tool_call": "function_call", "tool_calls": "function_call",
}  # fmt: skip

_KEPT = ("tool_calls", "reasoning_content", "thinking", "reasoning", "name", "tool_call_id")
_KNOWN_KEYS = {
    "role",
    "from",
    "content",
    "value",
    "loss_weight",
    "weight",
    "train",
    "loss",
    "refusal",
    "audio",
    "function_call",
    *_KEPT,
}


def turns_from_list(messages: object, column: str) -> tuple[Turn, ...]:
    """The turns of a list of messages in either spelling. Raises RowProblem."""
    if isinstance(messages, str):
        messages = _parsed(messages, column)
    if not isinstance(messages, (list, tuple)):
        raise RowProblem("not a list", f'"{snippet(column, 40)}" is not a list of messages.')
    if not messages:
        raise RowProblem("no turns", "The conversation has no turns.")
    turns = [_turn(message, place) for place, message in enumerate(messages, 1)]
    return tuple(_one_reply_per_call(turns))


def _parsed(text: str, column: str) -> Any:
    try:
        return parse_json(text)
    except JsonError as error:
        raise RowProblem("not JSON", f'"{snippet(column, 40)}" is text that is not JSON: {error.reason}') from None


def _turn(message: object, place: int) -> Turn:
    if not isinstance(message, dict):
        raise RowProblem("not a message", f"Message {place} is not an object with a role and a content.")
    written = message.get("role", message.get("from"))
    role = _ROLES.get(str(written).strip().lower()) if written is not None else None
    if role is None:
        named = f'the role "{snippet(str(written), 40)}"' if written is not None else "no role"
        raise RowProblem(
            "unknown role", f"Message {place} has {named}, where system, user, assistant or tool is expected."
        )
    unknown = [key for key in message if key not in _KNOWN_KEYS and message[key] not in (None, [], {}, "")]
    if any(key in {"images", "image", "audio", "audios", "video", "videos"} for key in unknown):
        raise RowProblem("not text", f"Message {place} has {snippet(unknown[0], 40)}; only text can be trained.")
    extra = {key: message[key] for key in _KEPT if message.get(key) not in (None, [], "")}
    content = message.get("content", message.get("value"))
    if role == "function_call":
        return Turn("assistant", "", {"tool_calls": _calls_from_text(content, place), **extra}, _is_trained(message))
    if isinstance(message.get("function_call"), dict):
        extra.setdefault("tool_calls", [_call(message["function_call"])])
    if "tool_calls" in extra:
        extra["tool_calls"] = [_call(call) for call in _as_list(extra["tool_calls"], "tool_calls")]
    text, more = _content(content, place, bool(extra))
    return Turn(role, text, {**extra, **more}, _is_trained(message))


def _is_trained(message: dict[str, Any]) -> bool:
    for key in ("loss_weight", "weight", "train", "loss"):
        value = message.get(key)
        if isinstance(value, (bool, int, float)):
            return bool(value)
    return True


def _content(content: object, place: int, may_be_empty: bool) -> tuple[str, dict[str, Any]]:
    """The text of a message, and what its typed parts hold beside text."""
    if content is None:
        if may_be_empty:
            return "", {}
        raise RowProblem("null", f"Message {place} has no content.")
    if isinstance(content, str):
        return content, {}
    if isinstance(content, dict):
        content = [content] if "type" in content else json_text(content)
    if not isinstance(content, (list, tuple)):
        return as_text(content), {}
    return _typed_parts(content, place)


def _typed_parts(parts: Iterable[object], place: int) -> tuple[str, dict[str, Any]]:
    texts: list[str] = []
    more: dict[str, Any] = {}
    for part in parts:
        fields = part if isinstance(part, dict) else {"type": "text", "text": part}
        kind = fields.get("type", "text")
        value = fields.get("text", fields.get("value", fields.get("content", fields.get("thinking"))))
        if kind in {"text", "input_text", "output_text"} and isinstance(value, str):
            texts.append(value)
        elif kind in {"reasoning", "thinking"} and isinstance(value, str):
            more["reasoning_content"] = more.get("reasoning_content", "") + value
        elif kind in {"tool_call", "tool_calls", "function_call"}:
            more.setdefault("tool_calls", []).extend(_calls_from_text(value, place))
        else:
            named = f'a part of the type "{snippet(str(kind), 30)}"'
            raise RowProblem("not text", f"Message {place} has {named}; only text can be trained.")
    return "".join(texts), more


def _calls_from_text(value: object, place: int) -> list[dict[str, Any]]:
    """Tool calls that are written as JSON text or as objects."""
    parsed = value
    if isinstance(value, str):
        try:
            parsed = parse_json(value)
        except JsonError as error:
            raise RowProblem("tool call", f"The tool call in message {place} is not JSON: {error.reason}") from None
    return [_call(item) for item in _as_list(parsed, "tool call")]


def _as_list(value: object, name: str) -> list[Any]:
    if isinstance(value, str):
        value = _parsed(value, name)
    if isinstance(value, dict):
        return [value]
    if isinstance(value, (list, tuple)) and value:
        return list(value)
    raise RowProblem("tool call", f'"{name}" holds no tool call.')


def _call(call: object) -> dict[str, Any]:
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


def _one_reply_per_call(turns: list[Turn]) -> list[Turn]:
    """Join an assistant text and the tool call right behind it, which ShareGPT writes as two turns."""
    joined: list[Turn] = []
    for turn in turns:
        last = joined[-1] if joined else None
        is_call = "tool_calls" in turn.extra and not turn.content
        if is_call and last is not None and last.role == "assistant" and last.trained == turn.trained:
            calls = [*last.extra.get("tool_calls", []), *turn.extra["tool_calls"]]
            joined[-1] = Turn(
                "assistant", last.content, {**last.extra, **turn.extra, "tool_calls": calls}, last.trained
            )
        else:
            joined.append(turn)
    return joined


def tools_from(value: object) -> tuple[Any, ...] | None:
    """The functions a conversation may call, as templates expect them; None when there are none. Raises RowProblem."""
    if value in (None, "", [], "[]"):
        return None
    if isinstance(value, str):
        value = _parsed(value, "tools")
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, (list, tuple)) or not all(isinstance(tool, dict) for tool in value):
        raise RowProblem("tools", '"tools" is not a list of objects.')
    return tuple(tool if "function" in tool else {"type": "function", "function": tool} for tool in value) or None


ORDER_CHECKS: tuple[tuple[str, str, Callable[[list[str]], bool]], ...] = (
    ("no answer", "No turn is by the assistant, so there is nothing to learn.", lambda roles: "assistant" not in roles),
    (
        "no question",
        "The assistant speaks before any user.",
        lambda roles: roles[:1] == ["assistant"] or roles[:2] == ["system", "assistant"],
    ),
    ("two users", "Two user turns stand in a row.", lambda roles: _twice(roles, "user")),
    ("two answers", "Two assistant turns stand in a row.", lambda roles: _twice(roles, "assistant")),
    ("late system", "A system message stands in the middle.", lambda roles: "system" in roles[1:]),
    (
        "ends without answer",
        "The last turn is not by the assistant.",
        lambda roles: bool(roles) and roles[-1] != "assistant",
    ),
)
"""Name, sentence and test of what can be wrong with the order of turns; only the first stops a row."""


def _twice(roles: list[str], role: str) -> bool:
    return any(first == second == role for first, second in zip(roles, roles[1:], strict=False))


def order_problems(turns: Iterable[Turn]) -> list[tuple[str, str]]:
    """What is unusual in the order of roles, as (kind, sentence)."""
    roles = [turn.role for turn in turns]
    return [(kind, sentence) for kind, sentence, is_wrong in ORDER_CHECKS if is_wrong(roles)]
