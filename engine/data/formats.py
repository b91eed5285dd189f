"""The formats of training data: what they are called, which columns they have, and what a row means in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.data import convert, convert_compared
from engine.data.examples import Example
from engine.data.rows import Row


@dataclass(frozen=True)
class Format:
    """A kind of training data: which roles its columns play, and what it is good for in a sentence."""

    name: str
    title: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    build: Callable[[Row, Mapping[str, str]], Example]


_ALL = (
    Format("instruction", "instruction and answer", ("instruction", "output"), ("input", "system", "history"),
           convert.instruction),
    Format("prompt_completion", "prompt and completion", ("prompt", "completion"), ("system", "tools"),
           convert.prompt_completion),
    Format("classification", "text and label", ("text", "label"), ("system",), convert.classification),
    Format("input_output", "input and structured output", ("input", "output"), ("system",), convert.input_output),
    Format("messages", "chat messages", ("messages",), ("tools", "system"), convert.messages),
    Format("sharegpt", "ShareGPT conversations", ("conversations",), ("tools", "system"), convert.sharegpt),
    Format("preference", "chosen and rejected answers", ("chosen", "rejected"), ("prompt", "system", "tools"),
           convert_compared.preference),
    Format("kto", "answers with thumbs up or down", ("label",), ("prompt", "completion", "messages", "system", "tools"),
           convert_compared.kto),
    Format("text", "plain text", ("text",), (), convert.text_alone),
)  # fmt: skip
FORMATS = {entry.name: entry for entry in _ALL}


def to_example(row: Row, format_name: str, columns: Mapping[str, str]) -> Example:
    """The example that a row is under `format_name` with `columns` (role -> column). Raises RowProblem."""
    return FORMATS[format_name].build(row, columns)
