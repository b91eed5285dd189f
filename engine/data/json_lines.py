"""Rows of JSON lines: one object a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from engine.data.json_rows import json_row, read_json_blocks
from engine.data.json_values import JsonError, parse_json
from engine.data.lines import TextFile
from engine.data.rows import ReadOptions, ReadReport, Row, no_rows, snippet
from engine.errors import UserError

_SPACE = " \t\r\n"
_PYTHON = re.compile(r"""^\{\s*'|[:,\[]\s*(?:None|True|False)\b""")


def read_json_lines(path: Path, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """One row per line that is not blank. A file that turns out to be one JSON value is read as such, with a note."""
    with TextFile(path, options, report) as file:
        if _is_one_value(file.head):
            report.note("The file is one JSON value over several lines, although its name says one row per line.")
            yield from read_json_blocks(path, file, options, report)
            return
        number = 0
        for line_number, line in file.lines():
            text = line.strip(_SPACE)
            if not text:
                continue
            number += 1
            try:
                yield json_row(number, parse_json(text), line_number, path)
            except JsonError as error:
                _refuse_line(path, line_number, text, error, options, report)
    if number == 0:
        raise no_rows(path)


def _is_one_value(head: str) -> bool:
    """Whether the first line opens a bracket that it does not close."""
    first, _, rest = head.lstrip(_SPACE).partition("\n")
    first = first.rstrip(_SPACE)
    if first.startswith("["):
        return True
    return bool(rest) and first.startswith("{") and first.endswith(("{", "[", ",")) and not first.endswith("},")


def _refuse_line(path: Path, line: int, text: str, error: JsonError, options: ReadOptions, report: ReadReport) -> None:
    """Count the bad line when the person said to go on; raise UserError else."""
    reason, fix = _reason_and_fix(text, error)
    if options.skip_bad_rows:
        report.bad(f"{path}:{line}", reason)
        return
    raise UserError(f"Line {line} is not a row of JSON. {reason} The line: {snippet(text)}", f"{path}:{line}", fix)


def _reason_and_fix(text: str, error: JsonError) -> tuple[str, str]:
    reason = error.reason
    if _PYTHON.search(text):
        return (
            "It looks like Python, not JSON. " + reason,
            'Write it with json.dumps, so that texts stand in "double quotes".',
        )
    if text.endswith(",") and error.position >= len(text) - 1:
        return (
            "There is a comma behind the object.",
            "Remove the comma at the end of each line, or make the file a JSON array and name it .json.",
        )
    if "\x00" in text:
        return "The line holds NUL bytes: the file is damaged or binary. " + reason, "Copy or export the file again."
    return reason, "Mend the line, or leave out rows that cannot be read (data.skip_bad_rows=true)."
