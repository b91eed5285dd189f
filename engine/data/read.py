"""Reading rows from a data source, one after another, with values as they were written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from engine.data.csv_rows import read_csv
from engine.data.json_lines import read_json_lines
from engine.data.json_rows import read_json
from engine.data.parquet_rows import read_parquet
from engine.data.rows import ReadOptions, ReadReport, Row
from engine.data.source import ROW_SUFFIXES, check_path, row_suffix
from engine.data.text_rows import read_text
from engine.errors import UserError

_Reader = Callable[[Path, ReadOptions, ReadReport], Iterator[Row]]

_READERS: dict[str, _Reader] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_text,
    ".md": read_text,
    ".parquet": read_parquet,
}

_SHEET = "Save the sheet as CSV (UTF-8) in the program that made it. "
_DOCUMENT = "Save its text as .txt, with a blank line between two texts. "
_SAVE_AS = {
    ".xlsx": _SHEET, ".xls": _SHEET, ".ods": _SHEET, ".numbers": _SHEET, ".docx": _DOCUMENT, ".doc": _DOCUMENT,
    ".odt": _DOCUMENT, ".rtf": _DOCUMENT, ".pdf": _DOCUMENT, ".zip": "Unpack it first. ",
}  # fmt: skip
"""What a person does with a file of another program."""


def read_rows(
    path: Path, limit: int | None = None, *, options: ReadOptions | None = None, report: ReadReport | None = None
) -> Iterator[Row]:
    """The rows of a file, streamed. At most `limit` of them when it is given.

    Raises UserError with file and line for whatever is not a row, unless `options.skip_bad_rows`; what was found out
    about the file (encoding, separator, wrapper) is noted in `report`.
    """
    rows = _read_file(path, options or ReadOptions(), report if report is not None else ReadReport())
    return rows if limit is None else islice(rows, limit)


def _read_file(path: Path, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    facts = check_path(path)
    reader = _READERS.get(row_suffix(path))
    if reader is None:
        ending = f"the ending {row_suffix(path)}" if row_suffix(path) else "no ending"
        raise UserError(
            f"{path.name} has {ending}, which is not a known data format.",
            str(path),
            f"{_SAVE_AS.get(row_suffix(path), '')}Known endings are {', '.join(ROW_SUFFIXES)}.",
        )
    if facts.st_size == 0:
        raise UserError(f"{path.name} is empty.", str(path), "Give a file with at least one row.")
    yield from reader(path, options, report)
