"""From a row and the roles of its columns to an example, for the formats that hold one answer."""

from __future__ import annotations

from collections.abc import Mapping

from engine.data.conversations import turns_from_list
from engine.data.examples import Example, RowProblem, Turn
from engine.data.labelled_lines import split_label
from engine.data.roles import as_context, is_messages, optional_text_of, text_of, tools_of, value_of, with_system
from engine.data.rows import Row, as_text


def _pair(row: Row, columns: Mapping[str, str], question: str, answer: str, label: str = "") -> Example:
    turns = with_system(row, columns, (Turn("user", question), Turn("assistant", answer)))
    return Example(turns, row.number, row.where, label=label)


def instruction(row: Row, columns: Mapping[str, str]) -> Example:
    instruction = text_of(row, columns, "instruction")
    more = optional_text_of(row, columns, "input")
    question = f"{instruction}\n\n{more}" if more.strip() else instruction
    example = _pair(row, columns, question, text_of(row, columns, "output"))
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


def prompt_completion(row: Row, columns: Mapping[str, str]) -> Example:
    prompt = value_of(row, columns, "prompt")
    completion = value_of(row, columns, "completion")
    if is_messages(prompt) and is_messages(completion):
        asked = as_context(turns_from_list(prompt, columns["prompt"]))
        turns = (*asked, *turns_from_list(completion, columns["completion"]))
        return Example(turns, row.number, row.where, tools_of(row, columns))
    return _pair(row, columns, text_of(row, columns, "prompt"), text_of(row, columns, "completion"))


def input_output(row: Row, columns: Mapping[str, str]) -> Example:
    return _pair(row, columns, text_of(row, columns, "input"), text_of(row, columns, "output"))


def classification(row: Row, columns: Mapping[str, str]) -> Example:
    if columns.get("label") == columns.get("text"):
        label, text = split_label(text_of(row, columns, "text"))
        if not label:
            raise RowProblem("no label", "The line does not begin with a label and a text.")
        return _pair(row, columns, text, label, label)
    label = text_of(row, columns, "label")
    return _pair(row, columns, text_of(row, columns, "text"), label, label)


def messages(row: Row, columns: Mapping[str, str], role: str = "messages") -> Example:
    turns = turns_from_list(value_of(row, columns, role), columns.get(role, role))
    turns = with_system(row, columns, turns)
    if not any(turn.role == "assistant" for turn in turns):
        raise RowProblem("no answer", "No turn is by the assistant, so there is nothing to learn.")
    if not any(turn.content.strip() or turn.extra for turn in turns if turn.role == "assistant"):
        raise RowProblem("empty", "Every answer of the assistant is empty.")
    return Example(turns, row.number, row.where, tools_of(row, columns))


def sharegpt(row: Row, columns: Mapping[str, str]) -> Example:
    return messages(row, columns, "conversations")


def text_alone(row: Row, columns: Mapping[str, str]) -> Example:
    return Example((Turn("text", text_of(row, columns, "text")),), row.number, row.where)
