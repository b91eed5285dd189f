"""What the Data page says: what was found in the data, and its first rows as the model will see them."""

from __future__ import annotations

from textual.content import Content

from tui.answers import Answers
from tui.steps import data as step
from tui.steps import data_words, lengths
from tui.steps.facts import Facts
from tui.steps.option import Problem
from tui.text import clean
from tui.widgets.marks import mark
from tui.widgets.problem import problem_text

MOST_FINDINGS = 4
"""Findings that are shown at once; the others are one key away, and counted."""
PIECE_STYLES = {"context": "dim", "trained": "bold $text-success", "cut": "$text-error strike",
                "note": "italic $text-accent"}  # fmt: skip


def found_text(answers: Answers, facts: Facts) -> Content:
    """What the data is, and the gravest findings; while it is being read, what its first rows say."""
    if facts.data.problem is not None:
        return problem_text(Problem.of(facts.data.problem))
    if answers.text("data.source") and facts.data.value is None:
        words = ["Reading the data. Enter goes on meanwhile.", *data_words.early_lines(facts)]
        return Content.assemble(*((f"{clean(line)}\n", "$text-muted") for line in words))
    pieces: list[Content | tuple[str, str]] = [(f"{clean(line)}\n", "") for line in data_words.facts_lines(facts)]
    found = step.all_findings(answers, facts)
    for finding in found[:MOST_FINDINGS]:
        pieces += [problem_text(finding), ("\n", "")]
    if len(found) > MOST_FINDINGS:
        pieces.append((f"{len(found) - MOST_FINDINGS} more: key d.\n", "$text-muted"))
    return Content.assemble(*pieces)


def rows_text(answers: Answers, facts: Facts, is_high: bool, width: int) -> Content:
    """The first rows, with the lengths and what follows from them: above the rows where the page is high, since a low
    one has room for little and the rows matter most."""
    rows, drawn = _rows(facts), _drawn(answers, facts, width)
    return Content.assemble(*(drawn + rows if is_high else rows + drawn)).rstrip()


def _rows(facts: Facts) -> list[tuple[str, str]]:
    pieces: list[tuple[str, str]] = []
    for preview in (facts.data.value or facts.data.early or {}).get("previews", ()):
        legend = "" if pieces else " (bold bright text is learned, the rest is context)"
        pieces.append((f"Row {preview.get('row', '')}{legend}\n", "bold"))
        for text, kind in data_words.preview_pieces(preview):
            if kind == "cut":
                pieces.append((f"{mark('cut')} cut here: ", "bold $text-error"))
            pieces.append((clean(text), PIECE_STYLES.get(kind, "$text-muted")))
        pieces.append(("\n\n", ""))
    return pieces


def _drawn(answers: Answers, facts: Facts, width: int) -> list[tuple[str, str]]:
    result = facts.data.value
    if not result:
        return []
    bars = lengths.histogram_lines(result, max(30, width - 8), mark("bar"))
    # of rows that are not understood nothing follows
    advice = lengths.advice_lines(answers, facts) if result.get("format") else []
    lines = [*lengths.label_lines(result), *bars, *advice]
    return [(f"{clean(line)}\n", "$text-muted") for line in lines] + [("\n", "")]
