"""The names that people give to the columns of training data, by the role that the column plays.

The lists are the union of what the common fine-tuning programs accept, in order of preference.
"""

from __future__ import annotations

from collections.abc import Iterable

ROLES: dict[str, tuple[str, ...]] = {
    "instruction": ("instruction", "instructions", "task"),
    "input": ("input", "inputs", "context", "passage", "document"),
    "output": (
        "output", "outputs", "response", "responses", "answer", "target", "targets", "expected", "expected_output",
        "result", "json",
    ),
    "prompt": ("prompt", "question", "query", "problem", "instruction", "input", "source", "user", "human", "request"),
    "completion": (
        "completion", "response", "answer", "output", "target", "targets", "answer_key", "answers", "solution", "reply",
        "assistant", "content", "text",
    ),
    "text": (
        "text", "sentence", "content", "document", "review", "body", "message", "tweet", "comment", "title", "sms",
        "raw_content",
    ),
    "label": ("label", "labels", "category", "class", "intent", "sentiment", "target", "topic", "tag", "label_text"),
    "messages": ("messages", "message", "chat", "dialog", "dialogue", "turns", "conversation"),
    "conversations": ("conversations", "conversation", "messages"),
    "chosen": ("chosen", "preferred", "response_j", "chosen_response", "better", "winner"),
    "rejected": ("rejected", "dispreferred", "response_k", "rejected_response", "worse", "loser"),
    "system": ("system", "system_prompt", "system_message"),
    "tools": ("tools", "functions"),
    "history": ("history",),
    "kto_label": ("label", "kto_tag", "desirable", "thumbs_up", "is_good"),
}  # fmt: skip

_KNOWN = frozenset(name for names in ROLES.values() for name in names)


def normal(name: str) -> str:
    """A column name without case, spaces and dashes, for comparison only."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def is_known_name(name: str) -> bool:
    """Whether a column of this name plays a role in some format."""
    return normal(name) in _KNOWN


def find_column(role: str, columns: Iterable[str], taken: Iterable[str] = ()) -> str:
    """The column that plays `role`, by the order of the list above; empty when there is none."""
    free = {normal(column): column for column in columns if column not in set(taken)}
    return next((free[name] for name in ROLES[role] if name in free), "")
