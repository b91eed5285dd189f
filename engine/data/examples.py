"""What a row means: turns of a conversation, or a text, whatever columns it was written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class RowProblem(Exception):
    """Why one row cannot become an example. `kind` groups equal problems; `str()` is a whole sentence."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. `role` is system, user, assistant or tool, or text for a row that is only text.

    `extra` holds what a chat template may also read: tool_calls, reasoning_content, name, tool_call_id.
    `trained` is false for an answer that the data says is not to be learned.
    """

    role: str
    content: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    trained: bool = True

    def message(self) -> dict[str, Any]:
        """The turn as chat templates expect it."""
        return {"role": self.role, "content": self.content, **self.extra}


@dataclass(frozen=True, slots=True)
class Example:
    """One row in the form that is rendered. For preference rows `turns` ends with the chosen answer.

    `rejected` are the turns that replace the last answer in a preference row, `label` is the class of a classification
    row or "true"/"false" of a KTO row, `tools` the functions that the conversation may call.
    """

    turns: tuple[Turn, ...]
    row: int
    where: str = ""
    tools: tuple[Any, ...] | None = None
    rejected: tuple[Turn, ...] = ()
    label: str = ""

    @property
    def is_text(self) -> bool:
        """Whether the row is text to be learned whole."""
        return len(self.turns) == 1 and self.turns[0].role == "text"

    @property
    def prompt_turns(self) -> tuple[Turn, ...]:
        """The turns before the last answer: what the model is asked."""
        last = next((index for index in range(len(self.turns) - 1, -1, -1) if self.turns[index].role == "assistant"), 0)
        return self.turns[:last]

    @property
    def expected(self) -> str:
        """The last answer, or the whole text."""
        answers = [turn.content for turn in self.turns if turn.role == "assistant"]
        return answers[-1] if answers else self.turns[-1].content
