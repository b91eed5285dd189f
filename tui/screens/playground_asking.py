"""What the playground sends for a question, and what it says below an answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tui.screens.playground_settings import SYSTEM
from tui.watch.held_out import HeldOut

Turns = list[tuple[str, str]]

_ENDINGS = {"length": ", cut at the limit", "stopped": ", stopped"}


def conversation(said: Mapping[str, Turns], name: str, asked: HeldOut) -> Turns:
    """What was said with `name` so far and the question; each sees its own answers."""
    return [*said.get(name, []), *asked.turns]


def request_for(
    asked: HeldOut, names: Sequence[str], said: Mapping[str, Turns], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The line for the job "chat": everybody in `names` gets the question after their own conversation.

    The system prompt of the settings is left out where the conversation brings its own, as held-out rows may.
    """
    turns = {name: [{"role": role, "content": content} for role, content in conversation(said, name, asked)]
             for name in names}  # fmt: skip
    own_system = any(turn["role"] == "system" for turn in turns[names[0]])
    sampling = {key: value for key, value in settings.items() if not (key == SYSTEM and own_system)}
    return {"turns": turns[names[-1]], "side_turns": turns, "which": list(names), **sampling}


def note_of(reply: Mapping[str, Any], name: str, asked: HeldOut, right: bool) -> str:
    """How an answer ended: `24 tokens in 0.8 s`, and whether it is the expected one."""
    tokens = (reply.get("tokens") or {}).get(name)
    seconds = (reply.get("seconds") or {}).get(name)
    words = f"{tokens} tokens" if tokens is not None else "done"
    if isinstance(seconds, int | float):
        words += f" in {seconds:.1f} s"
    ending = _ENDINGS.get(str((reply.get("finish") or {}).get(name)), "")
    if asked.expected:
        ending += ", exactly as expected" if right else ", not as expected"
    return words + ending
