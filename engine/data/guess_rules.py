"""The rules by which a format is recognised from the names of the columns and the kinds of their values."""

from __future__ import annotations

from engine.data.aliases import find_column, normal
from engine.data.guess import Guess, conversation_column, quoted, with_optional
from engine.data.json_values import JsonError, parse_json
from engine.data.rows import as_text
from engine.data.sample import Sample


def _chat(sample: Sample) -> Guess | None:
    column, name = conversation_column(sample)
    if not column or normal(column) in {"chosen", "rejected"}:
        return None
    role = "messages" if name == "messages" else "conversations"
    found = with_optional(sample, name, {role: column}, ("tools", "system"))
    spelling = "role and content" if name == "messages" else "from and value"
    return Guess(name, found, 0.97, f"{quoted(column)} holds lists of messages with {spelling}.")


def _preferences(sample: Sample) -> Guess | None:
    chosen, rejected = find_column("chosen", sample.columns), find_column("rejected", sample.columns)
    if not chosen or not rejected:
        return None
    columns = {"chosen": chosen, "rejected": rejected}
    conversation, _ = conversation_column(sample)
    prompt = find_column("prompt", sample.columns, columns.values())
    if conversation and conversation not in columns.values():
        columns["prompt"] = conversation
    elif prompt:
        columns["prompt"] = prompt
    found = with_optional(sample, "preference", columns, ("system", "tools"))
    return Guess("preference", found, 0.99, f"{quoted(chosen, rejected)} are two answers to the same question.")


def _thumbs(sample: Sample) -> Guess | None:
    label = find_column("kto_label", sample.columns)
    if not label or sample.share(label, lambda value: isinstance(value, bool)) < 0.99:
        return None
    conversation, _ = conversation_column(sample)
    if conversation:
        found = with_optional(sample, "kto", {"messages": conversation, "label": label}, ("system", "tools"))
        return Guess("kto", found, 0.985, f"{quoted(conversation)} comes with a true or false {quoted(label)}.")
    prompt = find_column("prompt", sample.columns, [label])
    completion = find_column("completion", sample.columns, [label, prompt])
    if not completion or normal(completion) in {"text", "content"}:
        return None
    columns = {"completion": completion, "label": label} | ({"prompt": prompt} if prompt else {})
    return Guess(
        "kto",
        with_optional(sample, "kto", columns, ("system",)),
        0.985,
        f"{quoted(completion)} comes with a true or false {quoted(label)}.",
    )


def _instructions(sample: Sample) -> Guess | None:
    instruction = find_column("instruction", sample.columns)
    output = find_column("output", sample.columns, [instruction])
    if instruction and output:
        columns = {"instruction": instruction, "output": output}
        found = with_optional(sample, "instruction", columns, ("input", "system", "history"))
        return Guess("instruction", found, 0.98, f"{quoted(instruction, output)} are an instruction and its answer.")
    question = find_column("prompt", sample.columns)
    context = find_column("input", sample.columns, [question])
    answer = find_column("output", sample.columns, [question, context])
    if not question or not context or not answer:
        return None
    columns = {"instruction": question, "input": context, "output": answer}
    return Guess(
        "instruction", with_optional(sample, "instruction", columns, ("system",)), 0.97,
        f"{quoted(question)} is asked about {quoted(context)}, and {quoted(answer)} is the answer.",
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


def _pairs(sample: Sample) -> Guess | None:
    prompt = find_column("prompt", sample.columns)
    completion = find_column("completion", sample.columns, [prompt])
    if not prompt or not completion:
        return None
    by_name = normal(prompt) in {"input", "inputs"} and normal(completion) in {"output", "outputs"}
    json_share = sample.share(completion, _is_json_object)
    system = with_optional(sample, "input_output", {}, ("system",))
    if by_name or json_share > 0.8:
        why = f" In {json_share:.0%} of the rows the answer is JSON." if json_share > 0.5 else ""
        return Guess(
            "input_output",
            {"input": prompt, "output": completion, **system},
            0.96,
            f"{quoted(prompt, completion)} are an input and its output.{why}",
        )
    certainty = 0.96 if normal(completion) not in {"text", "content"} else 0.7
    found = with_optional(
        sample, "prompt_completion", {"prompt": prompt, "completion": completion}, ("system", "tools")
    )
    return Guess("prompt_completion", found, certainty, f"{quoted(prompt, completion)} are a prompt and its answer.")


def _classes(sample: Sample) -> Guess | None:
    label = next((c for c in _label_columns(sample) if sample.is_label(c) or normal(c) in {"label", "labels"}), "")
    text = find_column("text", sample.columns, [label]) or find_column("prompt", sample.columns, [label])
    if not label or not text:
        return None
    different = len({as_text(value) for value in sample.values(label)})
    certainty = 0.97 if sample.is_label(label) and normal(text) not in {"prompt", "instruction"} else 0.75
    return Guess(
        "classification",
        {"text": text, "label": label},
        certainty,
        f"{quoted(label)} has {different} different values for {quoted(text)}.",
    )


def _label_columns(sample: Sample) -> list[str]:
    found: list[str] = []
    while column := find_column("label", sample.columns, found):
        found.append(column)
    return found


def _only_text(sample: Sample) -> Guess | None:
    column = find_column("text", sample.columns)
    if (
        len(sample.columns) == 1
        and not column
        and sample.share(sample.columns[0], lambda value: isinstance(value, str)) > 0.99
    ):
        return Guess(
            "text",
            {"text": sample.columns[0]},
            0.6,
            f"{quoted(sample.columns[0])} is the only column, and it holds text.",
        )
    if not column or sample.share(column, lambda value: isinstance(value, str)) < 0.99:
        return None
    nested = any(sample.share(other, lambda value: isinstance(value, (list, dict))) > 0 for other in sample.columns)
    certainty = 0.95 if len(sample.columns) == 1 else 0.25 if nested else 0.5
    return Guess(
        "text",
        {"text": column},
        certainty,
        f"{quoted(column)} holds text, and no other column is an answer or a label.",
    )


def _two_columns(sample: Sample) -> Guess | None:
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
        return Guess(
            "classification",
            {"text": text, "label": labels[0]},
            0.6,
            f"{quoted(labels[0])} has only {different} different values, so it seems to be a label.",
        )
    return Guess(
        "prompt_completion",
        {"prompt": first, "completion": second},
        0.3,
        f"No column name is known; {quoted(first)} is taken as the question and {quoted(second)} as the answer.",
    )


RULES = (_preferences, _thumbs, _chat, _instructions, _pairs, _classes, _only_text, _two_columns)
