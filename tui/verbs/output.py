"""How verbs print: one JSON document, or plain text in columns. All text from outside is cleaned here."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from tui.text import clean

LONGEST_LINE = 100
"""Longer lines are hard to read, however wide the terminal is."""


def print_json(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """The one JSON document of a verb. ASCII, so that no encoding and no control character can hurt."""
    print(json.dumps(document, indent=2, default=str))


def say(*lines: str) -> None:
    """Lines of text for a person, on stdout."""
    for line in lines:
        print(clean(line), flush=True)


def paragraph(text: str) -> None:
    """A longer text, wrapped to the width of the terminal."""
    width = min(LONGEST_LINE, shutil.get_terminal_size((LONGEST_LINE, 24)).columns)
    say(*textwrap.wrap(clean(text), width))


def warn(text: str) -> None:
    """A line for a person that is not the answer: on stderr."""
    print(clean(text), file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines in columns two blanks apart; the columns numbered in `right` (from 0) are right-aligned."""
    cleaned = [[clean(cell).replace("\n", " ") for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cleaned) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(width) if column in right else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        return "  ".join(cells).rstrip()

    return [line(row) for row in cleaned]


def fields(pairs: Mapping[str, str]) -> list[str]:
    """`name   value` lines with the values in one column."""
    width = max((len(name) for name in pairs), default=0)
    return [f"{name.ljust(width)}  {value}" for name, value in pairs.items()]
