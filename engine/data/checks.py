"""What can be wrong with rows that could be read, before any model is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from engine.data.counted import count_rows
from engine.data.dataset import Dataset
from engine.data.examples import Example
from engine.data.finding import Finding, Severity
from engine.data.fingerprint import row_key
from engine.data.json_values import JsonError, parse_json
from engine.data.labelled_lines import labels_of
from engine.data.rows import snippet
from engine.data.turn_order import order_problems

FEWEST_ROWS = 100
MOST_ROWS = 10_000
"""100 to 10 000 rows is the healthy range for adapting a model to a task."""
SKEWED = 10
"""The largest class may have this many times the rows of the smallest before it is said."""


def check_examples(dataset: Dataset) -> list[Finding]:
    """What the rows say about themselves, before any model is looked at."""
    examples = dataset.examples
    found = [
        *check_amount(dataset.usable, dataset.format),
        *check_duplicates(examples),
        *check_order(examples),
        *check_labels(dataset.labels if dataset.format == "classification" else Counter()),
        *check_json_answers(examples),
        *check_labelled_lines(examples if dataset.format == "text" else ()),
    ]
    return [finding for finding in found if finding.count]


def check_amount(rows: int, format_name: str) -> list[Finding]:
    """Too few rows to learn from, or more than a task usually needs."""
    if rows == 1:
        return [
            Finding(
                "few rows",
                "warn",
                1,
                "There is 1 row: the model will learn it by heart, and nothing is left to check with.",
                fix="Add rows.",
            )
        ]
    if rows < FEWEST_ROWS and format_name != "text":
        return [
            Finding(
                "few rows",
                "warn",
                rows,
                f"There are {rows} rows; below {FEWEST_ROWS} a model tends to learn them by heart.",
                fix="Add rows.",
            )
        ]
    if rows > MOST_ROWS * 10:
        return [
            Finding(
                "many rows",
                "note",
                rows,
                f"There are {rows} rows; {MOST_ROWS} good ones are usually enough.",
                fix="One epoch is enough.",
            )
        ]
    return []


def check_labelled_lines(examples: Sequence[Example]) -> list[Finding]:
    """Texts whose lines look like `LABEL text`. Only said, since nothing in the file names a class."""
    labels = labels_of([example.expected for example in examples])
    if not labels:
        return []
    names = ", ".join(f"{snippet(label, 20)} {rows}" for label, rows in labels.most_common(4))
    what = f"Every line begins with one of {len(labels)} words, as a class does ({names}); it is read as plain text."
    fix = "If these are classes, read it as text and label."
    remedy = {"data.format": "classification"}
    return [Finding("labelled lines", "warn", labels.total(), what, examples[0].where, fix, remedy)]


def check_duplicates(examples: Sequence[Example]) -> list[Finding]:
    """Rows that are equal in every turn."""
    seen: set[str] = set()
    twins: list[Example] = []
    for example in examples:
        key = row_key(example)
        if key in seen:
            twins.append(example)
        seen.add(key)
    if not twins:
        return []
    severity: Severity = "warn" if len(twins) > 0.05 * len(examples) else "note"
    what = f"{count_rows(len(twins))} repeat an earlier row exactly; they weigh more in training."
    return [
        Finding(
            "duplicates",
            severity,
            len(twins),
            what,
            twins[0].where,
            "Remove them if the repetition is not meant. Held-out rows never have a twin in training.",
        )
    ]


def check_order(examples: Sequence[Example]) -> list[Finding]:
    """Roles in an order that templates may refuse."""
    counts: Counter[str] = Counter()
    first: dict[str, tuple[str, str]] = {}
    for example in examples:
        if example.is_text:
            continue
        for kind, sentence in order_problems((*example.prompt_turns, *_answers(example))):
            counts[kind] += 1
            first.setdefault(kind, (sentence, example.where))
    return [
        Finding(
            kind,
            "note" if kind in {"late system", "two answers"} else "warn",
            number,
            f"{first[kind][0]} ({count_rows(number)})",
            first[kind][1],
            "Check these rows.",
        )
        for kind, number in counts.most_common()
    ]


def _answers(example: Example) -> Iterable[Any]:
    return example.turns[len(example.prompt_turns) :]


def check_labels(counts: Counter[str]) -> list[Finding]:
    """Classes of very different size, and classes with hardly any rows."""
    if len(counts) == 1:
        only, rows = snippet(next(iter(counts)), 40), counts.total()
        what = f'Every row has the same label "{only}": there is nothing to tell apart.'
        return [Finding("one label", "warn", rows, what, fix="Check the column.")]
    if not counts:
        return []
    (most, most_rows), (least, least_rows) = counts.most_common()[0], counts.most_common()[-1]
    if most_rows < SKEWED * least_rows:
        return []
    what = f'The label "{snippet(most, 40)}" has {most_rows} rows, "{snippet(least, 40)}" has {least_rows}.'
    return [
        Finding(
            "uneven labels", "warn", most_rows, what, fix="Add rows of the rare labels; judge the result per label."
        )
    ]


def check_json_answers(examples: Sequence[Example]) -> list[Finding]:
    """Answers that should be JSON, since most are, and are not."""
    answers = [(example, example.expected) for example in examples if not example.is_text]
    looks = [(example, text) for example, text in answers if text.lstrip()[:1] in {"{", "["}]
    if not answers or len(looks) < 0.5 * len(answers):
        return []
    broken = [(example, reason) for example, text in answers if (reason := _json_fault(text))]
    if not broken or len(broken) > 0.5 * len(answers):
        return []
    example, reason = broken[0]
    return [
        Finding(
            "invalid JSON",
            "warn",
            len(broken),
            f"{count_rows(len(broken))} have an answer that is not JSON, where the others are. {reason}",
            example.where,
            "Mend these answers.",
        )
    ]


def _json_fault(text: str) -> str:
    try:
        parse_json(text)
    except JsonError as error:
        return error.reason
    return ""
