"""The first rows of a data source, quick whatever its size: what a person sees while the rest is still being read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from engine.data.detect import DetectedFormat
from engine.data.examples import Example, RowProblem
from engine.data.formats import to_example
from engine.data.rows import Row

EARLY_ROWS = 50
EARLY_SECONDS = 0.1
"""Reading the first rows ends after this time too: rows of megabytes are as slow as many rows."""


def first_rows(rows: Iterator[Row]) -> list[Row]:
    """Up to 50 rows, fewer where they are slow to read, at least one where there is one. The iterator goes on behind
    them."""
    found = list(islice(rows, 1))  # opening the file counts for nothing
    until = time.monotonic() + EARLY_SECONDS
    while len(found) < EARLY_ROWS and time.monotonic() < until and (row := next(rows, None)) is not None:
        found.append(row)
    return found


def early_examples(rows: Sequence[Row], detected: DetectedFormat, number: int) -> list[Example]:
    """The first `number` rows that fit the format; none without a format."""
    found: list[Example] = []
    for row in rows if detected.name else ():
        if len(found) >= number:
            break
        try:
            found.append(to_example(row, detected.name, detected.map))
        except RowProblem:
            continue  # it is counted when all rows are read
    return found
