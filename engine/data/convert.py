"""From a row and the roles of its columns to an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.data.conversations import tools_from, turns_from_list
from engine.data.examples import Example, RowProblem, Turn
from engine.data.labelled_lines import split_label
from engine.data.rows import Row, as_text, snippet


@dataclass(frozen=True)
class Format:
    """A kind of training data: which roles its columns play, and what it is good for in a sentence."""

    name: str
    title: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    build: Callable[[Row, Mapping[str, str]], Example]


def _value(row: Row, columns: Mapping[str, str], role: str) -> Any:
    """The value that plays `role`, or None. RowProblem when the mapped column is not in the row."""
    column = columns.get(role)
    if column is None:
        return None
    if column not in row.fields:
        raise RowProblem("missing column", f'The row has no "{snippet(column, 40)}".')
    return row.fields[column]


def _text(row: Row, columns: Mapping[str, str], role: str, may_be_empty: bool = False) -> str:
    value = _value(row, columns, role)
    if value is None:
        if may_be_empty:
            return ""
        raise RowProblem("null", f'"{snippet(columns.get(role, role), 40)}" is null.')
    text = value if isinstance(value, str) else as_text(value)
    if not text.strip() and not may_be_empty:
        raise RowProblem("empty", f'"{snippet(columns.get(role, role), 40)}" is empty.')
    return text


def _optional(row: Row, columns: Mapping[str, str], role: str) -> str:
    column = columns.get(role)
    return "" if column is None or row.fields.get(column) is None else as_text(row.fields[column])


def _with_system(row: Row, columns: Mapping[str, str], turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    system = _optional(row, columns, "system")
    has_one = bool(turns) and turns[0].role == "system"
    return (Turn("system", system), *turns) if system and not has_one else turns


def _pair(row: Row, columns: Mapping[str, str], question: str, answer: str, label: str = "") -> Example:
    turns = _with_system(row, columns, (Turn("user", question), Turn("assistant", answer)))
    return Example(turns, row.number, row.where, label=label)


def _instruction(row: Row, columns: Mapping[str, str]) -> Example:
    instruction = _text(row, columns, "instruction")
    more = _optional(row, columns, "input")
    question = f"{instruction}\n\n{more}" if more.strip() else instruction
    example = _pair(row, columns, question, _text(row, columns, "output"))
    history = row.fields.get(columns["history"]) if "history" in columns else None
    if not history:
        return example
    system = tuple(turn for turn in example.turns if turn.role == "system")
    rest = tuple(turn for turn in example.turns if turn.role != "system")
    return Example((*system, *_history(history), *rest), row.number, row.where)


def _history(history: object) -> tuple[Turn, ...]:
    if not isinstance(history, (list, tuple)):
        raise RowProblem("history", '"history" is not a list of question and answer pairs.')
    turns: list[Turn] = []
    for pair in history:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise RowProblem("history", '"history" is not a list of question and answer pairs.')
        turns += [Turn("user", as_text(pair[0])), Turn("assistant", as_text(pair[1]))]
    return tuple(turns)


def _prompt_completion(row: Row, columns: Mapping[str, str]) -> Example:
    prompt = _value(row, columns, "prompt")
    completion = _value(row, columns, "completion")
    if _is_messages(prompt) and _is_messages(completion):
        asked = tuple(
            Turn(turn.role, turn.content, turn.extra, False) for turn in turns_from_list(prompt, columns["prompt"])
        )
        turns = (*asked, *turns_from_list(completion, columns["completion"]))
        return Example(turns, row.number, row.where, _tools(row, columns))
    return _pair(row, columns, _text(row, columns, "prompt"), _text(row, columns, "completion"))


def _input_output(row: Row, columns: Mapping[str, str]) -> Example:
    return _pair(row, columns, _text(row, columns, "input"), _text(row, columns, "output"))


def _classification(row: Row, columns: Mapping[str, str]) -> Example:
    if columns.get("label") == columns.get("text"):
        label, text = split_label(_text(row, columns, "text"))
        if not label:
            raise RowProblem("no label", "The line does not begin with a label and a text.")
        return _pair(row, columns, text, label, label)
    label = _text(row, columns, "label")
    return _pair(row, columns, _text(row, columns, "text"), label, label)


def _messages(row: Row, columns: Mapping[str, str], role: str = "messages") -> Example:
    turns = turns_from_list(_value(row, columns, role), columns.get(role, role))
    turns = _with_system(row, columns, turns)
    if not any(turn.role == "assistant" for turn in turns):
        raise RowProblem("no answer", "No turn is by the assistant, so there is nothing to learn.")
    if not any(turn.content.strip() or turn.extra for turn in turns if turn.role == "assistant"):
        raise RowProblem("empty", "Every answer of the assistant is empty.")
    return Example(turns, row.number, row.where, _tools(row, columns))


def _tools(row: Row, columns: Mapping[str, str]) -> tuple[Any, ...] | None:
    return tools_from(row.fields.get(columns["tools"])) if "tools" in columns else None


def _sharegpt(row: Row, columns: Mapping[str, str]) -> Example:
    return _messages(row, columns, "conversations")


def _raw_text(row: Row, columns: Mapping[str, str]) -> Example:
    return Example((Turn("text", _text(row, columns, "text")),), row.number, row.where)


def _is_messages(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, dict) for item in value)


def _answer_turns(value: object, column: str) -> tuple[Turn, ...]:
    """An answer, or a transcript, that is written as text, as one message or as a list of messages."""
    if isinstance(value, dict) and ("role" in value or "from" in value):
        value = [value]
    if _is_messages(value):
        return turns_from_list(value, column)
    if value is None or not as_text(value).strip():
        raise RowProblem("empty", f'"{snippet(column, 40)}" is empty.')
    return (Turn("assistant", as_text(value)),)


def _asked(row: Row, columns: Mapping[str, str]) -> tuple[Turn, ...]:
    if "prompt" not in columns:
        return ()
    value = _value(row, columns, "prompt")
    if _is_messages(value):
        return turns_from_list(value, columns["prompt"])
    return (Turn("user", _text(row, columns, "prompt")),)


def _preference(row: Row, columns: Mapping[str, str]) -> Example:
    asked = _asked(row, columns)
    chosen = _answer_turns(_value(row, columns, "chosen"), columns["chosen"])
    rejected = _answer_turns(_value(row, columns, "rejected"), columns["rejected"])
    if not asked:
        shared = _common(chosen, rejected)
        asked, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not asked or not chosen or not rejected:
        raise RowProblem(
            "no difference", "The chosen and the rejected answer have no common question, or do not differ."
        )
    if chosen == rejected:
        raise RowProblem("no difference", "The chosen and the rejected answer are the same.")
    asked = tuple(Turn(turn.role, turn.content, turn.extra, False) for turn in _with_system(row, columns, asked))
    return Example((*asked, *chosen), row.number, row.where, _tools(row, columns), rejected)


def _common(chosen: tuple[Turn, ...], rejected: tuple[Turn, ...]) -> int:
    """How many turns both transcripts begin with; the last turn of each is always its own answer."""
    shared = 0
    for first, second in zip(chosen[:-1], rejected[:-1], strict=False):
        if first != second:
            break
        shared += 1
    return shared


def _kto(row: Row, columns: Mapping[str, str]) -> Example:
    label = _value(row, columns, "label")
    good = {"true": "true", "1": "true", "false": "false", "0": "false"}.get(as_text(label).strip().lower())
    if good is None:
        raise RowProblem("label", f'The label is "{snippet(as_text(label), 40)}", where true or false is expected.')
    if "messages" in columns:
        turns = turns_from_list(_value(row, columns, "messages"), columns["messages"])
    else:
        turns = (*_asked(row, columns), *_answer_turns(_value(row, columns, "completion"), columns["completion"]))
    return Example(_with_system(row, columns, turns), row.number, row.where, _tools(row, columns), label=good)


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format(
            "instruction",
            "instruction and answer",
            ("instruction", "output"),
            ("input", "system", "history"),
            _instruction,
        ),
        Format(
            "prompt_completion",
            "prompt and completion",
            ("prompt", "completion"),
            ("system", "tools"),
            _prompt_completion,
        ),
        Format("classification", "text and label", ("text", "label"), ("system",), _classification),
        Format("input_output", "input and structured output", ("input", "output"), ("system",), _input_output),
        Format("messages", "chat messages", ("messages",), ("tools", "system"), _messages),
        Format("sharegpt", "ShareGPT conversations", ("conversations",), ("tools", "system"), _sharegpt),
        Format(
            "preference",
            "chosen and rejected answers",
            ("chosen", "rejected"),
            ("prompt", "system", "tools"),
            _preference,
        ),
        Format(
            "kto",
            "answers with thumbs up or down",
            ("label",),
            ("prompt", "completion", "messages", "system", "tools"),
            _kto,
        ),
        Format("text", "plain text", ("text",), (), _raw_text),
    )
}


def to_example(row: Row, format_name: str, columns: Mapping[str, str]) -> Example:
    """The example that a row is under `format_name` with `columns` (role -> column). Raises RowProblem."""
    return FORMATS[format_name].build(row, columns)
