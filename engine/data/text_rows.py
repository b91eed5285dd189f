"""Rows of plain text and Markdown files: blocks of text, exactly as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from engine.data.lines import TextFile
from engine.data.rows import ReadOptions, ReadReport, Row, no_rows

LONGEST_BLOCK = 8 << 20
"""Characters after which a block is ended at a line end, so that memory stays bounded."""
_HEADING = re.compile(r"#{1,6}\s")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")


def read_text(path: Path, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """One row per line when the file has no blank lines between texts, else one row per block between blank lines.

    Markdown is cut before each heading instead. The rule used is noted in the report.
    """
    with TextFile(path, options, report) as file:
        if path.suffix.lower() == ".md" or ".md" in path.suffixes:
            report.note("Each section of the Markdown file, from one heading to the next, is a row.")
            blocks = _sections(file.lines())
        elif _has_blocks(file.head):
            report.note("Each block of text between blank lines is a row.")
            blocks = _between_blanks(file.lines())
        else:
            report.note("Each line of the text file is a row.")
            blocks = ((number, line) for number, line in file.lines())
        number = 0
        for line, text in blocks:
            whole = text.rstrip("\r\n")
            if whole.strip():
                number += 1
                yield Row(number, {"text": whole}, line, str(path))
    if number == 0:
        raise no_rows(path)


def _has_blocks(head: str) -> bool:
    """Whether the sample holds a blank line that is followed by text."""
    return re.search(r"\S[^\S\n]*\r?\n[^\S\n]*\r?\n\s*\S", head) is not None


def _between_blanks(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    start, parts, size = 0, list[str](), 0
    for number, line in lines:
        if line.strip() and size < LONGEST_BLOCK:
            start = start if parts else number
            parts.append(line)
            size += len(line)
        elif parts:
            yield start, "".join(parts)
            kept = [line] if line.strip() else []
            start, parts, size = number, kept, sum(map(len, kept))
    if parts:
        yield start, "".join(parts)


def _sections(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    start, parts, size, in_code = 0, list[str](), 0, False
    for number, line in lines:
        if _FENCE.match(line):
            in_code = not in_code
        if parts and (size > LONGEST_BLOCK or (not in_code and _HEADING.match(line))):
            yield start, "".join(parts)
            parts, size = [], 0
        start = start if parts else number
        parts.append(line)
        size += len(line)
    if parts:
        yield start, "".join(parts)
