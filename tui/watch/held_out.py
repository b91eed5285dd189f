"""Prompts that the model was not trained on, with the answer that the data gives, as the job "chat" hands them over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HeldOut:
    """One held-out row: the conversation up to where the assistant answers, and the expected answer."""

    turns: tuple[tuple[str, str], ...]
    expected: str
    row: int

    @property
    def question(self) -> str:
        """The last thing that was said before the answer."""
        return self.turns[-1][1]


def read_rows(message: Any) -> list[HeldOut]:
    """The rows in an answer of the job; what has no turns is left out."""
    return [
        HeldOut(tuple((str(role), str(content)) for role, content in row["turns"]), str(row.get("expected", "")),
                int(row.get("row", 0)))
        for row in message
        if isinstance(row, dict) and row.get("turns")
    ]  # fmt: skip
