"""A stored evaluation as lines for a person: what changed, the figures with their intervals, labels, answers to read.

Pure: the page, the verb and the demo say the same from the same document (<run>/evaluation.json).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui.steps.words import plural
from tui.text import clean, one_line
from tui.verbs.output import table

MEASURES = {
    "loss": "loss", "perplexity": "perplexity", "valid": "valid JSON", "exact_match": "exact match",
    "fields": "fields right (F1)", "accuracy": "right label", "known_label": "one of the labels",
    "macro_f1": "macro F1", "syntax": "valid syntax", "rouge_l": "ROUGE-L", "chrf": "chrF",
}  # fmt: skip
"""Key in the result -> its words, in the order in which they are shown; what a result lacks is left out."""
MATRIX_LABELS = 8
"""More labels than fit in 80 columns are shown as the pairs that are confused most."""
LABEL_CELLS = 9


@dataclass(frozen=True)
class Section:
    """A heading and its lines; the heading may be empty."""

    title: str
    lines: tuple[str, ...]


def comparison(result: Mapping[str, Any]) -> list[str]:
    """Base and tuned beside each other, a line for each measure, with 95 % intervals where there are any."""
    base, tuned = (result["sides"][side] for side in ("base", "tuned"))
    rows = [(words, figure(base.get(key)), figure(tuned.get(key))) for key, words in MEASURES.items() if key in tuned]
    head = f"On {plural(int(result['rows']), 'row')} that were held out of training:"
    return [head, *table(("", str(result.get("baseline") or "base"), "tuned"), rows, right=(1, 2))]


def figure(value: Any) -> str:
    """One figure: `72.0% (36 of 50; 58-82)`, or a number with four digits."""
    if isinstance(value, Mapping) and "hits" in value:
        text = f"{value['value']:.1%} ({value['hits']} of {value['count']}"
        if isinstance(value.get("low"), int | float) and isinstance(value.get("high"), int | float):
            text += f"; {100 * value['low']:.0f}-{100 * value['high']:.0f}%"
        return f"{text})"
    if isinstance(value, Mapping):
        return figure(value.get("f1"))
    return f"{value:.4g}" if isinstance(value, int | float) else str(value or "")


def sections(document: Mapping[str, Any]) -> list[Section]:
    """Everything about one evaluation, the most important first."""
    found = []
    if document.get("answers_as_before"):
        found.append(Section("It answers as before", (clean(str(document["answers_as_before"])),)))
    found.append(Section("What changed", tuple(clean(str(text)) for text in document.get("sentences") or ())))
    head, *rows = comparison(document)
    rows.append("In brackets: how many rows, and the 95 % interval.") if "%)" in "".join(rows) else None
    found.append(Section(head, tuple(rows)))
    shown = ("tuned",) if document.get("baseline") else ("tuned", "base")
    found += [confusion(document["sides"][side], side) for side in shown]
    found.append(Section("Answers to read", tuple(reading(document))))
    return [section for section in found if section.lines]


def confusion(side: Mapping[str, Any], name: str) -> Section:
    """What was answered for each label: a matrix for few labels, else the pairs that are confused most."""
    counts = side.get("confusion")
    if not isinstance(counts, Mapping) or not counts:
        return Section("", ())
    labels = [str(label) for label in counts]
    title = (
        f"Labels, {'tuned model' if name == 'tuned' else 'base model'}: a row is the right label, a column the answer"
    )
    if len(labels) <= MATRIX_LABELS:
        return Section(title, tuple(_matrix(labels, counts)))
    pairs = [(count, want, answer) for want, row in counts.items() for answer, count in row.items() if want != answer]
    lines = [
        f"{count} times {_short(answer)} for {_short(want)}" for count, want, answer in sorted(pairs, reverse=True)
    ]
    return Section(f"Most confused, {name}", tuple(lines[:10]))


def _matrix(labels: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    def others(want: str) -> int:
        return sum(count for answer, count in counts[want].items() if answer not in labels)

    rows = [(_short(want), *(str(counts[want].get(answer, 0)) for answer in labels), str(others(want)))
            for want in labels]  # fmt: skip
    head = ("", *(_short(label) for label in labels), "other")
    return table(head, rows, right=range(1, len(labels) + 2))


def _short(label: object) -> str:
    text = one_line(str(label)) or "(nothing)"
    return text if len(text) <= LABEL_CELLS else text[: LABEL_CELLS - 1] + "."


def reading(document: Mapping[str, Any]) -> list[str]:
    """Question, expected answer and both answers of the first rows, each with a word on whether it is right."""
    base, tuned = (document["sides"][side].get("examples") or [] for side in ("base", "tuned"))
    lines: list[str] = []
    for before, after in zip(base, tuned, strict=False):
        expected = str(after.get("expected", ""))
        lines += [f"question  {one_line(str(after.get('prompt', '')))}", f"expected  {one_line(expected)}"]
        for name, side in (("base", before), ("tuned", after)):
            answer = str(side.get("answer", ""))
            right = " ".join(answer.split()) == " ".join(expected.split())
            lines.append(f"{name:<8}{'=' if right else ' '} {one_line(answer)}")
        lines.append("")
    return lines[:-1]
