"""The mask view in words: one row as runs of text that is context, learned or cut off, marked without colour too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tui.answers import Answers
from tui.steps.facts import Facts
from tui.steps.looking import data_request
from tui.steps.words import plural, shown

BRACKETS = {"trained": ("[[", "]]"), "cut": ("{{", "}}")}
"""What stands around learned text and around what is cut off, here and in `tunewright data`."""
LEGEND = (("dim is context", "context"), ("[[bright is learned]]", "trained"), ("{{red is cut off}}", "cut"),
          ("special token", "special"))  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Text of one kind: "context", "trained", "cut", or "mark" for a sign of ours; `special` is one special token."""

    text: str
    kind: str
    special: bool = False


def rows_request(answers: Answers, facts: Facts, number: int) -> dict[str, Any]:
    """The first request of the "rows" job: the data as it is read, cut at the sequence length in force."""
    request = {**data_request(answers, facts), "row": number}
    in_force = facts.settings(answers).get("training.sequence_length")
    if in_force is not None and isinstance(in_force.value, int):
        request["sequence_length"] = in_force.value
    return request


def runs(row: Mapping[str, Any]) -> Iterator[Run]:
    """A row of the "rows" job as runs, with brackets around what is learned and what is cut."""
    if "pieces" not in row:
        for turn in row.get("turns", ()):
            yield Run(f"{turn.get('role', '')}: ", "mark")
            yield Run(f"{turn.get('content', '')}\n", "context")
        return
    for kind, pieces in groupby(row["pieces"], key=lambda piece: str(piece.get("kind", "context"))):
        before, behind = BRACKETS.get(kind, ("", ""))
        yield Run(before, "mark")
        for piece in pieces:
            yield Run(str(piece.get("text", "")), kind, bool(piece.get("special")))
        yield Run(behind, "mark")


def head_lines(row: Mapping[str, Any], total: int) -> list[str]:
    """Where the row stands and what its tokens are, one line each."""
    number = int(row.get("number", 0))
    of = f" of {total:,}" if total else ""
    lines = [f"Row {number:,}{of}, {Path(str(row.get('where', ''))).name}"]
    if "tokens" in row:
        kept = f", {row['kept_tokens']:,} kept" if row.get("truncated") else ""
        specials = ", ".join(f"{text} {count}" for text, count in (row.get("specials") or {}).items())
        words = f"{plural(int(row['tokens']), 'token')}{kept}, {row['trained_tokens']:,} learned."
        lines.append(f"{words} Special: {specials}." if specials else words)
    elif not row.get("problems"):
        lines.append("No model is chosen yet, so there are no tokens to show.")
    return lines


def problem_lines(row: Mapping[str, Any]) -> list[str]:
    """What is wrong with the row, whole sentences."""
    return [str(sentence) for sentence in row.get("problems") or ()]


def end_words(request: Mapping[str, Any], total: int) -> str:
    """What is said when there is no such row."""
    if "after" in request:
        return f"No row behind row {int(request['after']):,} has a problem."
    return f"There is no row {shown(request.get('row'))}: the data has {plural(total, 'row')}."
