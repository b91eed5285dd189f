"""From a row that says which answer is better, or whether one is good, to an example."""

from __future__ import annotations

from collections.abc import Mapping

from engine.data.conversations import turns_from_list
from engine.data.examples import Example, RowProblem, Turn
from engine.data.roles import as_context, is_messages, text_of, tools_of, value_of, with_system
from engine.data.rows import Row, as_text, snippet


def _answer_turns(value: object, column: str) -> tuple[Turn, ...]:
    """An answer, or a transcript, that is written as text, as one message or as a list of messages."""
    if isinstance(value, dict) and ("role" in value or "from" in value):
        value = [value]
    if is_messages(value):
        return turns_from_list(value, column)
    if value is None or not as_text(value).strip():
        raise RowProblem("empty", f'"{snippet(column, 40)}" is empty.')
    return (Turn("assistant", as_text(value)),)


def _asked(row: Row, columns: Mapping[str, str]) -> tuple[Turn, ...]:
    if "prompt" not in columns:
        return ()
    value = value_of(row, columns, "prompt")
    if is_messages(value):
        return turns_from_list(value, columns["prompt"])
    return (Turn("user", text_of(row, columns, "prompt")),)


def preference(row: Row, columns: Mapping[str, str]) -> Example:
    asked = _asked(row, columns)
    chosen = _answer_turns(value_of(row, columns, "chosen"), columns["chosen"])
    rejected = _answer_turns(value_of(row, columns, "rejected"), columns["rejected"])
    if not asked:
        shared = _common(chosen, rejected)
        asked, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not asked or not chosen or not rejected:
        raise RowProblem(
            "no difference", "The chosen and the rejected answer have no common question, or do not differ."
        )
    if chosen == rejected:
        raise RowProblem("no difference", "The chosen and the rejected answer are the same.")
    asked = as_context(with_system(row, columns, asked))
    return Example((*asked, *chosen), row.number, row.where, tools_of(row, columns), rejected)


def _common(chosen: tuple[Turn, ...], rejected: tuple[Turn, ...]) -> int:
    """How many turns both transcripts begin with; the last turn of each is always its own answer."""
    shared = 0
    for first, second in zip(chosen[:-1], rejected[:-1], strict=False):
        if first != second:
            break
        shared += 1
    return shared


def kto(row: Row, columns: Mapping[str, str]) -> Example:
    label = value_of(row, columns, "label")
    good = {"true": "true", "1": "true", "false": "false", "0": "false"}.get(as_text(label).strip().lower())
    if good is None:
        raise RowProblem("label", f'The label is "{snippet(as_text(label), 40)}", where true or false is expected.')
    if "messages" in columns:
        turns = turns_from_list(value_of(row, columns, "messages"), columns["messages"])
    else:
        turns = (*_asked(row, columns), *_answer_turns(value_of(row, columns, "completion"), columns["completion"]))
    return Example(with_system(row, columns, turns), row.number, row.where, tools_of(row, columns), label=good)
