"""The chat template, learnt from what it renders: the text between the contents of a conversation.

A chat template is a program. What a fine-tuned model was trained on is its output, so we look at the output: marked
messages are rendered, and what stands between the marks are the *joints*. A template whose joints depend only on
who speaks before and after can be written for Ollama truthfully; any other is refused with the reason. Nothing is
looked up by the name of a model.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import UserError

Message = tuple[str, str]
"""(role, content); roles are system, user and assistant."""

RenderPrompt = Callable[[Sequence[Message]], str]
"""Renders a conversation up to where the assistant answers; raises any exception when the template refuses it."""

ROLES = ("system", "user", "assistant")
_MARKS = {"system": "Sy{}Mark", "user": "Us{}Mark", "assistant": "As{}Mark"}
_NEEDED = (("user",), ("user", "assistant", "user"))
_OPTIONAL: tuple[tuple[str, ...], ...] = (
    ("system", "user"),
    ("system", "user", "assistant", "user"),
    ("assistant", "user"),
    ("system", "assistant", "user"),
)


@dataclass(frozen=True)
class Joints:
    """`between[previous, role]` stands before a message of `role`; previous is "" at the start.

    `ending` is what follows the last user message up to where the assistant answers. `turns` is False when the
    template knows a single question only.
    """

    between: Mapping[tuple[str, str], str]
    ending: str
    turns: bool = True
    notes: Sequence[str] = field(default=())

    @property
    def takes_system(self) -> bool:
        """True when a system message at the start is rendered."""
        return ("", "system") in self.between


def learn_joints(render: RenderPrompt, drop_start: str = "") -> Joints:
    """Learn the joints of a template from marked conversations.

    `drop_start` is a text that the runtime adds by itself (the token that begins a sequence), so that it must not
    be written a second time. Raises UserError when the template cannot be described by joints.
    """
    between: dict[tuple[str, str], str] = {}
    endings: set[str] = set()
    single = _render(render, _NEEDED[0], must=True)
    many = _render(render, _NEEDED[1], must=False)
    _learn(_NEEDED[0], single, between, endings)
    _learn(_NEEDED[1], many, between, endings)
    for roles in _OPTIONAL:
        _learn(roles, _render(render, roles, must=False), between, endings)
    starts = {pair: _without_start(text, drop_start) for pair, text in between.items() if pair[0] == ""}
    return Joints({**between, **starts}, endings.pop(), turns=many is not None)


def _learn(roles: Sequence[str], text: str | None, between: dict[tuple[str, str], str], endings: set[str]) -> None:
    if text is None:
        return
    pieces = _pieces(text, roles)
    for pair, piece in zip(itertools.pairwise(["", *roles]), pieces, strict=False):
        if between.setdefault(pair, piece) != piece:
            names = " and ".join(part or "the start" for part in pair)
            raise _cannot(f"the text between {names} changes with what stands before")
    endings.add(pieces[-1])
    if len(endings) > 1:
        raise _cannot("the text where the answer begins changes with what stands before")


def _render(render: RenderPrompt, roles: Sequence[str], must: bool) -> str | None:
    messages = [(role, _MARKS[role].format(number)) for number, role in enumerate(roles)]
    try:
        return render(messages)
    except Exception as error:  # noqa: BLE001 - a template may refuse a conversation in any way it likes
        if must:
            raise _cannot(f"it refuses a single question ({error})") from error
        return None


def _pieces(text: str, roles: Sequence[str]) -> list[str]:
    """The texts before, between and after the marks. Raises UserError when a mark is moved, lost or repeated."""
    marks = [_MARKS[role].format(number) for number, role in enumerate(roles)]
    for mark, role in zip(marks, roles, strict=True):
        if text.count(mark) != 1:
            fate = "leaves out" if mark not in text else "repeats"
            raise _cannot(f"it {fate} the {role} message in a conversation of {', '.join(roles)}")
    places = [text.index(mark) for mark in marks]
    if places != sorted(places):
        raise _cannot("it moves a message to another place, for example the system message into the last question")
    pieces, start = [], 0
    for mark, place in zip(marks, places, strict=True):
        pieces.append(text[start:place])
        start = place + len(mark)
    return [*pieces, text[start:]]


def _without_start(text: str, start: str) -> str:
    return text.removeprefix(start) if start else text


def _cannot(reason: str) -> UserError:
    return UserError(
        f"This chat template cannot be written as an Ollama TEMPLATE: {reason}.",
        "chat template",
        "Export to GGUF: a recent Ollama then uses the chat template inside the file.",
        exit_code=1,
    )
