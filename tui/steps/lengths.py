"""How long the rows are, drawn in characters; what that leads to; and how often each class occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.answer import Answer
from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.steps.facts import Facts
from tui.steps.looking import data_summary
from tui.steps.words import count, plural, shown

MOST_BARS = 12
ADVISED = ("training.sequence_length", "training.epochs", "training.packing")
"""The settings that follow from the lengths."""


def histogram_lines(result: Mapping[str, Any], width: int, bar: str, most: int = MOST_BARS) -> list[str]:
    """One line a bar, `from to rows bar`, at most `most` of them and `width` cells wide; empty without lengths."""
    bars = _joined((result.get("lengths") or {}).get("histogram") or (), most)
    if not bars:
        return []
    labels = [f"{begin:,} to {end - 1:,}" for begin, end, _ in bars]
    numbers = [f"{rows:,}" for _, _, rows in bars]
    left, middle = max(map(len, labels)), max(map(len, numbers))
    room = max(4, width - left - middle - 4)
    highest = max(rows for _, _, rows in bars)
    return [
        f"{label:>{left}}  {number:>{middle}}  {bar * _cells(rows, highest, room)}".rstrip()
        for label, number, (_, _, rows) in zip(labels, numbers, bars, strict=True)
    ]


def _cells(rows: int, highest: int, room: int) -> int:
    """Cells of a bar; one at least where there is a row, so that the longest rows are seen."""
    return max(1, round(rows / highest * room)) if rows else 0


def _joined(bars: Sequence[Sequence[int]], most: int) -> list[tuple[int, int, int]]:
    """Neighbouring bars added up until no more than `most` are left."""
    together = max(1, -(-len(bars) // max(1, most)))
    groups = [bars[at : at + together] for at in range(0, len(bars), together)]
    return [(int(group[0][0]), int(group[-1][1]), sum(int(one[2]) for one in group)) for group in groups]


def length_lines(result: Mapping[str, Any]) -> list[str]:
    """Percentiles, trained tokens and whether they are exact, and what each length would cut."""
    lengths = result.get("lengths") or {}
    if not lengths.get("longest"):
        return []
    sampled = int(lengths.get("sampled_from") or 0)
    basis = f"from a sample of {lengths.get('rows', 0):,} of {sampled:,} rows" if sampled else "from every row"
    percentiles = f"p50 {lengths['p50']:,}, p95 {lengths.get('p95', 0):,}, p99 {lengths['p99']:,}"
    lines = [f"Tokens per row, {basis}: {percentiles}, longest {lengths['longest']:,}."]
    lines.append(f"{count(lengths.get('trained_tokens', 0))} tokens are learned in each pass.")
    if result.get("format") == "text":  # long texts are split into pieces
        return lines
    for cut in lengths.get("cut_at", ()):
        if cut["rows"]:
            answers = f", {plural(int(cut['answers']), 'answer')} among them"
            lines.append(f"A length of {cut['length']:,} would cut {plural(int(cut['rows']), 'row')} "
                         f"({cut['share']:.1%}){answers}.")  # fmt: skip
    return lines


def advice_lines(answers: Answers, facts: Facts) -> list[str]:
    """The sequence length, passes and packing that follow from the data, each with its reason."""
    given = facts.settings(answers)
    found = {key: given[key] for key in ADVISED if key in given} or _advice(facts)
    return [f"{KEYS[key].title}: {_said(answer)}. {answer.reason}".rstrip() for key, answer in found.items()]


def _said(answer: Answer) -> str:
    return ("on" if answer.value else "off") if isinstance(answer.value, bool) else shown(answer.value)


def _advice(facts: Facts) -> dict[str, Answer]:
    """What the planner's own rules say of this data for this model, where there is no plan yet."""
    summary, model = data_summary(facts.data.value), facts.model.value
    if summary is None or model is None:
        return {}
    from engine.plan import settings
    from engine.plan.objective import recommended_objective

    objective = str(recommended_objective(summary).value)
    length = settings.sequence_length(model.spec, summary)
    packing = settings.packing(summary, int(str(length.value)))
    return dict(zip(ADVISED, (length, settings.epochs(summary, objective), packing), strict=True))


def label_lines(result: Mapping[str, Any], most: int = 12) -> list[str]:
    """Classes with their numbers, the most frequent first."""
    labels = result.get("labels") or {}
    if not labels or result.get("format") == "kto":
        return []
    named = [f"{name} {rows:,}" for name, rows in list(labels.items())[:most]]
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return [f"{plural(len(labels), 'label')}: {', '.join(named)}{more}."]
