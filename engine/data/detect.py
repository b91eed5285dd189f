"""Which format a file is in, how sure that is, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.data.examples import RowProblem
from engine.data.formats import to_example
from engine.data.guess import Guess
from engine.data.guess_rules import RULES
from engine.data.rows import Row, snippet
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


def detect_format(rows: Sequence[Row]) -> DetectedFormat:
    """Look at all the given rows (some hundreds are enough) and say which format they are in."""
    sample = Sample(rows)
    schemas = Counter(tuple(sorted(row.fields)) for row in rows).most_common()
    columns = tuple(dict.fromkeys(name for row in rows for name in row.fields))
    best, share = Guess("", {}, 0.0, ""), 0.0
    for rule in RULES:
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


def _share_that_works(rows: Sequence[Row], guess: Guess) -> float:
    works = 0
    for row in rows:
        try:
            to_example(row, guess.name, guess.map)
            works += 1
        except RowProblem as problem:
            # an empty value is a fault of the row, not of the guess
            works += problem.kind in {"null", "empty", "no turns", "no answer", "no difference", "unknown role"}
    return works / len(rows) if rows else 0.0
