"""Which column plays which role, where the names of the columns do not say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.answers import Answers
from tui.steps.base import Question
from tui.steps.facts import Facts
from tui.steps.option import Option

ROLE_WORDS = {
    "instruction": "what is asked for", "input": "the text to work on", "output": "the answer to learn",
    "prompt": "what comes before the answer", "completion": "the answer to learn", "text": "the text",
    "label": "the class or label", "messages": "the list of turns", "conversations": "the list of turns",
    "chosen": "the better answer", "rejected": "the worse answer", "system": "the system prompt",
}  # fmt: skip


def roles_to_ask(format_name: str, columns: Sequence[str]) -> list[str]:
    """The roles that a format needs and no column's name tells."""
    from engine.data.aliases import find_column
    from engine.data.formats import FORMATS

    if format_name not in FORMATS or not columns:
        return []
    if format_name == "classification" and len(columns) == 1:
        return []  # the first word of each line may be the class, and the job says whether it is
    taken: list[str] = []
    unknown = []
    for role in FORMATS[format_name].required:
        column = find_column(role, columns, taken)
        if column:
            taken.append(column)
        else:
            unknown.append(role)
    # with one unknown role the others could be meant differently too, so all of them are asked
    return list(FORMATS[format_name].required) if unknown else []


def role_options(columns: Sequence[str], taken: Mapping[str, str]) -> list[Option]:
    """The columns that are still free."""
    return [Option(column, column) for column in columns if column not in taken.values()]


def role_question(role: str, columns: Sequence[str], mapping: dict[str, str]) -> Question:
    """Ask for the column of one role; the answer goes into `mapping`."""

    def options(answers: Answers, facts: Facts) -> list[Option]:
        return role_options(columns, mapping)

    def apply(answers: Answers, facts: Facts, text: str) -> None:
        mapping[role] = text

    words = ROLE_WORDS.get(role, role)
    return Question("data.map", f"Which column is {words} ({role})?", options, apply)


def store(answers: Answers, format_name: str, mapping: Mapping[str, str]) -> None:
    """Put format and columns into the answers."""
    answers.put("data.format", format_name, "you", "your choice")
    if mapping:
        answers.put("data.map", dict(mapping), "you", "the columns that you named")
    else:
        answers.drop("data.map")
