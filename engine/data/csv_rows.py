"""Rows of CSV and TSV files. Every value stays the text that was written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from engine.data.csv_dialect import Dialect, decide_dialect
from engine.data.lines import TextFile
from engine.data.rows import ReadOptions, ReadReport, Row, no_rows, snippet
from engine.errors import UserError

LONGEST_CELL = 16 << 20
"""Characters; beyond it a quote was opened that is never closed."""


class _Source:
    """Feeds lines to the csv reader and remembers where the current record began."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self.number = 0
        self.text = ""

    def __iter__(self) -> Iterator[str]:
        for number, text in self._lines:
            self.number, self.text = number, text
            yield text


def read_csv(path: Path, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """Rows with the header's names. UserError with the line for ragged rows and for quotes in wrong places."""
    csv.field_size_limit(LONGEST_CELL)
    with TextFile(path, options, report) as file:
        dialect = decide_dialect(path, file.head, options, report)
        source = _Source(file.lines())
        records = _records(path, source, dialect, options, report)
        names = dialect.names
        if dialect.header_lines:
            header = next(records, None)
            names = _named_columns(header[1], report) if header else ()
        yield from _rows(path, records, names, options, report)


def _rows(
    path: Path,
    records: Iterator[tuple[int, list[str]]],
    names: tuple[str, ...],
    options: ReadOptions,
    report: ReadReport,
) -> Iterator[Row]:
    number = 0
    for line, cells in records:
        number += 1
        reason = _ragged(cells, names)
        if not reason:
            yield Row(number, dict(zip(names, cells, strict=False)), line, str(path))
        elif options.skip_bad_rows:
            report.bad(f"{path}:{line}", reason)
        else:
            raise UserError(
                f"Line {line}: {reason} The row: {snippet(repr(cells))}",
                f"{path}:{line}",
                "Mend the row, or leave out rows that cannot be read (data.skip_bad_rows=true).",
            )
    if number == 0:
        raise no_rows(path)


def _ragged(cells: list[str], names: tuple[str, ...]) -> str:
    """Why the row does not fit its header, or nothing. Empty cells beyond the header are what spreadsheets write."""
    if len(cells) == len(names) or (len(cells) > len(names) and not any(cells[len(names) :])):
        return ""
    return f"The row has {len(cells)} cells, the header names {len(names)} columns."


def _records(
    path: Path, source: _Source, dialect: Dialect, options: ReadOptions, report: ReadReport
) -> Iterator[tuple[int, list[str]]]:
    """Records with the line on which each begins; blank lines are passed over."""
    lines = iter(source)
    for _ in range(dialect.skipped_lines):
        next(lines, None)
    reader = csv.reader(
        lines, delimiter=dialect.delimiter, quotechar=dialect.quote or None, quoting=dialect.quoting, strict=True
    )
    while True:
        start = source.number + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            reason = _csv_reason(error, start, source.number)
            if not options.skip_bad_rows or "never closed" in reason:
                raise UserError(
                    f"Line {start}: {reason} The line: {snippet(source.text)}", f"{path}:{start}", _CSV_FIX
                ) from None
            report.bad(f"{path}:{start}", reason)
            continue
        if cells is None:
            return
        if cells and (len(cells) > 1 or cells[0].strip()):
            yield start, cells


_CSV_FIX = 'Write a quote inside a quoted cell twice (""), and close every quote.'


def _csv_reason(error: csv.Error, start: int, now: int) -> str:
    message = str(error)
    if "unexpected end of data" in message or "field larger" in message:
        return f"A quote that opens in the record of line {start} is never closed."
    if "expected after" in message:
        return "A quoted cell goes on behind its closing quote."
    if "new-line character" in message:
        return "A bare carriage return stands inside a cell without quotes."
    return f"The record cannot be read ({message})."


def _named_columns(cells: list[str], report: ReadReport) -> tuple[str, ...]:
    """The header's names; doubled ones get a number, empty ones their place, and both are said."""
    names: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = cell.strip() or f"column {place}"
        base, count = name, 1
        while name in names:
            count += 1
            name = f"{base} {count}"
        if name != base:
            report.note(f'Two columns are called "{snippet(base, 40)}"; the later one is called "{snippet(name, 50)}".')
        names.append(name)
    unnamed = sum(not cell.strip() for cell in cells)
    if unnamed:
        report.note(
            f"{unnamed} columns have no name in the header." if unnamed > 1 else "1 column has no name in the header."
        )
    return tuple(names)
