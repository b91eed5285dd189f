"""Conversations as people write them: role/content and from/value lists, and typed parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.data.examples import RowProblem, Turn
from engine.data.rows import as_text, json_text, snippet
from engine.data.tool_calls import calls_as_list, calls_from_text, parsed_column, tool_call

_ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "question": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "ai": "assistant", "bing": "assistant", "bard": "assistant", "answer": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "tool_response": "tool", "function_response": "tool",
    "function_call": "function_call", "tool_call": "function_call", "tool_calls": "function_call",
}  # fmt: skip

_KEPT = ("tool_calls", "reasoning_content", "thinking", "reasoning", "name", "tool_call_id")
_KNOWN_KEYS = {"role", "from", "content", "value", "loss_weight", "weight", "train", "loss", "refusal", "audio",
               "function_call", *_KEPT}  # fmt: skip


def turns_from_list(messages: object, column: str) -> tuple[Turn, ...]:
    """The turns of a list of messages in either spelling. Raises RowProblem."""
    if isinstance(messages, str):
        messages = parsed_column(messages, column)
    if not isinstance(messages, (list, tuple)):
        raise RowProblem("not a list", f'"{snippet(column, 40)}" is not a list of messages.')
    if not messages:
        raise RowProblem("no turns", "The conversation has no turns.")
    turns = [_turn(message, place) for place, message in enumerate(messages, 1)]
    return tuple(_one_reply_per_call(turns))


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
        return Turn("assistant", "", {"tool_calls": calls_from_text(content, place), **extra}, _is_trained(message))
    if isinstance(message.get("function_call"), dict):
        extra.setdefault("tool_calls", [tool_call(message["function_call"])])
    if "tool_calls" in extra:
        extra["tool_calls"] = [tool_call(call) for call in calls_as_list(extra["tool_calls"], "tool_calls")]
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
            more.setdefault("tool_calls", []).extend(calls_from_text(value, place))
        else:
            named = f'a part of the type "{snippet(str(kind), 30)}"'
            raise RowProblem("not text", f"Message {place} has {named}; only text can be trained.")
    return "".join(texts), more


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
