"""How a CSV file is written: which character separates cells, and whether the first row names them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.data.aliases import is_known_name
from engine.data.rows import ReadOptions, ReadReport

_DELIMITERS = (",", "\t", ";", "|")
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar"}
_SAMPLE_RECORDS = 50
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?%?$")


@dataclass(frozen=True)
class Dialect:
    """`names` are used where the file has no header row (`header_lines` 0)."""

    delimiter: str
    header_lines: int
    names: tuple[str, ...] = ()
    skipped_lines: int = 0
    quote: str = '"'
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL


def decide_dialect(path: Path, head: str, options: ReadOptions, report: ReadReport) -> Dialect:
    """Look at the first records; what a person said in `options` comes first. Notes what is not plain CSV."""
    skipped = 0
    first, _, rest = head.partition("\n")
    said = re.fullmatch(r'"?sep=(.)"?\r?', first)
    if said:
        skipped, head = 1, rest
        report.note("The first line names the separator, as Excel writes it; it is not a row.")
    delimiter = options.delimiter or (said.group(1) if said else _best_delimiter(path, head))
    usual = "\t" if ".tsv" in path.suffixes else ","
    if delimiter != usual:
        report.note(f"Cells are separated by a {_NAMES.get(delimiter, repr(delimiter))}.")
    report.delimiter = delimiter
    quoted = '"' in head
    records = _sample(head, delimiter)
    header = options.header if options.header is not None else _has_header(records)
    report.header = header
    names: tuple[str, ...] = ()
    if not header and records:
        width = Counter(len(record) for record in records).most_common(1)[0][0]
        names = tuple(f"column {place}" for place in range(1, width + 1))
        report.note(
            "The first row looks like data, not like column names; the columns are called column 1, column 2 and so on."
        )
    if delimiter == "\t" and quoted and not _quotes_work(head, delimiter):
        report.note("Quotes in this tab separated file are ordinary characters.")
        return Dialect(delimiter, int(header), names, skipped, "", csv.QUOTE_NONE)
    return Dialect(delimiter, int(header), names, skipped)


def _quotes_work(head: str, delimiter: str) -> bool:
    """Whether quotes in the sample enclose whole cells, as CSV means them: nearly all that open a cell close it."""
    mark = re.escape(delimiter)
    opening = rf'(?:\A|(?<=[\n{mark}]))"'
    rest, closed = re.subn(rf'{opening}(?:[^"]|"")*"(?=[{mark}\r\n]|\Z)', "", head)
    left = len(re.findall(opening, rest))
    return closed > 0 and closed >= 0.9 * (closed + left)


def _best_delimiter(path: Path, head: str) -> str:
    """The candidate that splits the sample into the same number of cells most often; the usual one wins a tie."""
    usual = "\t" if ".tsv" in path.suffixes else ","
    scores = {candidate: _evenness(_sample(head, candidate)) for candidate in _DELIMITERS}
    best = max(scores, key=lambda candidate: (scores[candidate], candidate == usual))
    if scores[best] == 0:
        return usual
    return best


def _evenness(records: list[list[str]]) -> float:
    """Share of records that have as many cells as most have; 0 when that is one cell."""
    if not records:
        return 0.0
    width, count = Counter(len(record) for record in records).most_common(1)[0]
    header_fits = len(records[0]) == width
    return 0.0 if width < 2 else count / len(records) + (0.5 if header_fits else 0.0)


def _sample(head: str, delimiter: str) -> list[list[str]]:
    """The first records of the sample; the last one is left out, since the sample may cut it."""
    newline = "\r" if "\r" in head and "\n" not in head else "\n"
    lines = [line + newline for line in head.split(newline)]
    records: list[list[str]] = []
    try:
        for record in csv.reader(iter(lines), delimiter=delimiter):
            if record and (len(record) > 1 or record[0].strip()):
                records.append(record)
            if len(records) > _SAMPLE_RECORDS:
                break
    except csv.Error:
        pass
    return records[:-1] if len(records) > 2 else records


def _has_header(records: list[list[str]]) -> bool:
    """Column names are short, no numbers and no sentences; a known role name settles it."""
    if not records:
        return True
    first = records[0]
    if any(is_known_name(cell) for cell in first):
        return True
    filled = [cell.strip() for cell in first if cell.strip()]
    if not filled or any(_NUMBER.match(cell) or len(cell) > 64 or "\n" in cell for cell in filled):
        return False
    if any(len(cell.split()) > 6 or cell.endswith((".", "?", "!")) for cell in filled):
        return False
    return _differs_from_body(first, records[1:])


def _differs_from_body(first: list[str], body: list[list[str]]) -> bool:
    """Whether the first row is unlike the rows below: no value of it comes again, and it looks like names."""
    if not body:
        return True
    for place, cell in enumerate(first):
        below = [record[place] for record in body if place < len(record)]
        if cell.strip() and below.count(cell) >= max(1, len(below) // 10):
            return False
    return all(re.match(r"[^\W\d]", cell.strip()) for cell in first if cell.strip())
