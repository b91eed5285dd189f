"""Which format a file is in, how sure that is, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.data.aliases import find_column, normal
from engine.data.convert import FORMATS, to_example
from engine.data.examples import RowProblem
from engine.data.json_values import JsonError, parse_json
from engine.data.rows import Row, as_text, snippet
from engine.data.sample import Sample


@dataclass(frozen=True)
class DetectedFormat:
    """`name` is empty when no format fits. `map` is role -> column, `confidence` 0 to 1, `reason` one sentence or two.

    `schemas` counts the sets of columns that rows have, most frequent first.
    """

    name: str
    map: dict[str, str]
    confidence: float
    reason: str
    columns: tuple[str, ...] = ()
    schemas: tuple[tuple[tuple[str, ...], int], ...] = ()


@dataclass(frozen=True)
class _Guess:
    name: str
    map: dict[str, str]
    certainty: float
    reason: str


def detect_format(rows: Sequence[Row]) -> DetectedFormat:
    """Look at all the given rows (some hundreds are enough) and say which format they are in."""
    sample = Sample(rows)
    schemas = Counter(tuple(sorted(row.fields)) for row in rows).most_common()
    columns = tuple(dict.fromkeys(name for row in rows for name in row.fields))
    best, share = _Guess("", {}, 0.0, ""), 0.0
    for rule in _RULES:
        guess = rule(sample)
        if guess and guess.certainty > 0:
            works = _share_that_works(rows, guess)
            if works * guess.certainty > share * best.certainty:
                best, share = guess, works
    if not best.name:
        return DetectedFormat("", {}, 0.0, _no_format(sample), columns, tuple(schemas))
    reason = best.reason
    if share < 1:
        reason += f" {round((1 - share) * len(rows))} of the {len(rows)} rows looked at do not fit."
    if len(schemas) > 1:
        reason += f" The rows have {len(schemas)} different sets of columns."
    return DetectedFormat(best.name, best.map, round(best.certainty * share, 3), reason, columns, tuple(schemas))


def _no_format(sample: Sample) -> str:
    if not sample.columns:
        return "No column holds anything."
    names = ", ".join(snippet(name, 30) for name in sample.columns[:12])
    return f"No known format has these columns: {names}. Say which column plays which role."


def _share_that_works(rows: Sequence[Row], guess: _Guess) -> float:
    works = 0
    for row in rows:
        try:
            to_example(row, guess.name, guess.map)
            works += 1
        except RowProblem as problem:
            # an empty value is a fault of the row, not of the guess
            works += problem.kind in {"null", "empty", "no turns", "no answer", "no difference", "unknown role"}
    return works / len(rows) if rows else 0.0


def _messages_like(value: object, role: str, content: str) -> bool:
    return (
        isinstance(value, (list, tuple))
        and bool(value)
        and all(isinstance(item, dict) and role in item for item in value)
        and any(content in item or "tool_calls" in item for item in value)
    )


def _conversation_column(sample: Sample) -> tuple[str, str]:
    """A column that holds lists of messages, and the format whose spelling it has."""
    for column in sample.columns:
        if sample.share(column, lambda value: _messages_like(value, "role", "content")) > 0.5:
            return column, "messages"
        if sample.share(column, lambda value: _messages_like(value, "from", "value")) > 0.5:
            return column, "sharegpt"
    return "", ""


def _with_optional(sample: Sample, name: str, columns: Mapping[str, str], roles: Sequence[str]) -> dict[str, str]:
    """`columns` and the optional roles for which there is a column of the usual name, even one that is empty so far."""
    found = dict(columns)
    for role in roles:
        column = find_column(role, sample.every_column, found.values())
        if column:
            found[role] = column
    return {
        role: column for role, column in found.items() if role in (*FORMATS[name].required, *FORMATS[name].optional)
    }


def _quoted(*columns: str) -> str:
    return " and ".join(f'"{snippet(column, 40)}"' for column in columns)


def _chat(sample: Sample) -> _Guess | None:
    column, name = _conversation_column(sample)
    if not column or normal(column) in {"chosen", "rejected"}:
        return None
    role = "messages" if name == "messages" else "conversations"
    found = _with_optional(sample, name, {role: column}, ("tools", "system"))
    spelling = "role and content" if name == "messages" else "from and value"
    return _Guess(name, found, 0.97, f"{_quoted(column)} holds lists of messages with {spelling}.")


def _preferences(sample: Sample) -> _Guess | None:
    chosen, rejected = find_column("chosen", sample.columns), find_column("rejected", sample.columns)
    if not chosen or not rejected:
        return None
    columns = {"chosen": chosen, "rejected": rejected}
    conversation, _ = _conversation_column(sample)
    prompt = find_column("prompt", sample.columns, columns.values())
    if conversation and conversation not in columns.values():
        columns["prompt"] = conversation
    elif prompt:
        columns["prompt"] = prompt
    found = _with_optional(sample, "preference", columns, ("system", "tools"))
    return _Guess("preference", found, 0.99, f"{_quoted(chosen, rejected)} are two answers to the same question.")


def _thumbs(sample: Sample) -> _Guess | None:
    label = find_column("kto_label", sample.columns)
    if not label or sample.share(label, lambda value: isinstance(value, bool)) < 0.99:
        return None
    conversation, _ = _conversation_column(sample)
    if conversation:
        found = _with_optional(sample, "kto", {"messages": conversation, "label": label}, ("system", "tools"))
        return _Guess("kto", found, 0.985, f"{_quoted(conversation)} comes with a true or false {_quoted(label)}.")
    prompt = find_column("prompt", sample.columns, [label])
    completion = find_column("completion", sample.columns, [label, prompt])
    if not completion or normal(completion) in {"text", "content"}:
        return None
    columns = {"completion": completion, "label": label} | ({"prompt": prompt} if prompt else {})
    return _Guess(
        "kto",
        _with_optional(sample, "kto", columns, ("system",)),
        0.985,
        f"{_quoted(completion)} comes with a true or false {_quoted(label)}.",
    )


def _instructions(sample: Sample) -> _Guess | None:
    instruction = find_column("instruction", sample.columns)
    output = find_column("output", sample.columns, [instruction])
    if instruction and output:
        columns = {"instruction": instruction, "output": output}
        found = _with_optional(sample, "instruction", columns, ("input", "system", "history"))
        return _Guess("instruction", found, 0.98, f"{_quoted(instruction, output)} are an instruction and its answer.")
    question = find_column("prompt", sample.columns)
    context = find_column("input", sample.columns, [question])
    answer = find_column("output", sample.columns, [question, context])
    if not question or not context or not answer:
        return None
    columns = {"instruction": question, "input": context, "output": answer}
    return _Guess(
        "instruction", _with_optional(sample, "instruction", columns, ("system",)), 0.97,
        f"{_quoted(question)} is asked about {_quoted(context)}, and {_quoted(answer)} is the answer.",
    )  # fmt: skip


def _is_json_object(value: object) -> bool:
    if isinstance(value, (dict, list)):
        return True
    if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        return isinstance(parse_json(value), (dict, list))
    except JsonError:
        return False


def _pairs(sample: Sample) -> _Guess | None:
    prompt = find_column("prompt", sample.columns)
    completion = find_column("completion", sample.columns, [prompt])
    if not prompt or not completion:
        return None
    by_name = normal(prompt) in {"input", "inputs"} and normal(completion) in {"output", "outputs"}
    json_share = sample.share(completion, _is_json_object)
    system = _with_optional(sample, "input_output", {}, ("system",))
    if by_name or json_share > 0.8:
        why = f" In {json_share:.0%} of the rows the answer is JSON." if json_share > 0.5 else ""
        return _Guess(
            "input_output",
            {"input": prompt, "output": completion, **system},
            0.96,
            f"{_quoted(prompt, completion)} are an input and its output.{why}",
        )
    certainty = 0.96 if normal(completion) not in {"text", "content"} else 0.7
    found = _with_optional(
        sample, "prompt_completion", {"prompt": prompt, "completion": completion}, ("system", "tools")
    )
    return _Guess("prompt_completion", found, certainty, f"{_quoted(prompt, completion)} are a prompt and its answer.")


def _classes(sample: Sample) -> _Guess | None:
    label = next((c for c in _label_columns(sample) if sample.is_label(c) or normal(c) in {"label", "labels"}), "")
    text = find_column("text", sample.columns, [label]) or find_column("prompt", sample.columns, [label])
    if not label or not text:
        return None
    different = len({as_text(value) for value in sample.values(label)})
    certainty = 0.97 if sample.is_label(label) and normal(text) not in {"prompt", "instruction"} else 0.75
    return _Guess(
        "classification",
        {"text": text, "label": label},
        certainty,
        f"{_quoted(label)} has {different} different values for {_quoted(text)}.",
    )


def _label_columns(sample: Sample) -> list[str]:
    found: list[str] = []
    while column := find_column("label", sample.columns, found):
        found.append(column)
    return found


def _only_text(sample: Sample) -> _Guess | None:
    column = find_column("text", sample.columns)
    if (
        len(sample.columns) == 1
        and not column
        and sample.share(sample.columns[0], lambda value: isinstance(value, str)) > 0.99
    ):
        return _Guess(
            "text",
            {"text": sample.columns[0]},
            0.6,
            f"{_quoted(sample.columns[0])} is the only column, and it holds text.",
        )
    if not column or sample.share(column, lambda value: isinstance(value, str)) < 0.99:
        return None
    nested = any(sample.share(other, lambda value: isinstance(value, (list, dict))) > 0 for other in sample.columns)
    certainty = 0.95 if len(sample.columns) == 1 else 0.25 if nested else 0.5
    return _Guess(
        "text",
        {"text": column},
        certainty,
        f"{_quoted(column)} holds text, and no other column is an answer or a label.",
    )


def _two_columns(sample: Sample) -> _Guess | None:
    """Nameless pairs: one column with few values is a label, else the first is the question."""
    used = [column for column in sample.columns if sample.filled[column] > len(sample.rows) * 0.5]
    texts = [column for column in used if sample.share(column, lambda value: isinstance(value, str)) > 0.99]
    if len(texts) != 2 or len(used) != 2:
        return None
    first, second = texts
    labels = [column for column in texts if sample.is_label(column)]
    if len(labels) == 1:
        text = second if labels[0] == first else first
        different = len({as_text(value) for value in sample.values(labels[0])})
        return _Guess(
            "classification",
            {"text": text, "label": labels[0]},
            0.6,
            f"{_quoted(labels[0])} has only {different} different values, so it seems to be a label.",
        )
    return _Guess(
        "prompt_completion",
        {"prompt": first, "completion": second},
        0.3,
        f"No column name is known; {_quoted(first)} is taken as the question and {_quoted(second)} as the answer.",
    )


_RULES = (_preferences, _thumbs, _chat, _instructions, _pairs, _classes, _only_text, _two_columns)
