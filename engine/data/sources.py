"""Where rows come from: one file, the files of a directory, or a dataset on the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from engine.data.hub_rows import hub_rows
from engine.data.read import read_rows
from engine.data.rows import ReadOptions, ReadReport, Row, snippet
from engine.data.source import ROW_SUFFIXES, row_suffix
from engine.errors import UserError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_TEXT_SUFFIXES = {".txt", ".md"}
_PARTS = ("train", "validation", "valid", "val", "dev", "eval", "test")
_MOST_FILES = 10_000


def open_rows(source: str, options: ReadOptions, report: ReadReport, limit: int | None = None) -> Iterator[Row]:
    """The rows of a data source, streamed and numbered from 1. Raises UserError as `read_rows` does."""
    path = Path(source).expanduser()
    if is_hub_name(source):
        rows = hub_rows(source, options, report)
    elif path.is_dir():
        rows = _directory_rows(path, options, report)
    else:
        rows = read_rows(path, options=options, report=report)
    return rows if limit is None else islice(rows, limit)


def is_hub_name(source: str) -> bool:
    """Whether a source is a dataset on the Hub: it has the form of a name, is no path here, and has no file ending."""
    path = Path(source).expanduser()
    return (
        bool(_HUB_NAME.fullmatch(source))
        and row_suffix(path) not in ROW_SUFFIXES
        and not path.exists()
        and "/" in source
    )


def _directory_rows(directory: Path, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    number = 0
    for file in _chosen_files(directory, options, report):
        for row in read_rows(file, options=options, report=report):
            number += 1
            yield row._replace(number=number)


def _chosen_files(directory: Path, options: ReadOptions, report: ReadReport) -> list[Path]:
    """The data files of a directory that are read, by name; the choice is noted."""
    entries = sorted(islice(directory.iterdir(), _MOST_FILES))
    files = [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    known = [file for file in files if row_suffix(file) in ROW_SUFFIXES]
    tables = [file for file in known if row_suffix(file) not in _TEXT_SUFFIXES and not _is_description(file)]
    chosen = tables or known
    if not chosen:
        raise UserError(
            "The directory holds no data files.", str(directory), f"Known endings are {', '.join(ROW_SUFFIXES)}."
        )
    endings = {row_suffix(file) for file in chosen}
    if len(endings) > 1:
        raise UserError(
            f"The directory mixes {', '.join(sorted(endings))} files.",
            str(directory),
            "Name one of the files, or move the others away.",
        )
    chosen = _of_split(directory, chosen, options.split or "train")
    left = [file.name for file in files if file not in chosen]
    report.note(f"Read from the directory: {_names([file.name for file in chosen])}.")
    if left:
        report.note(f"Not read: {_names(left)}.")
    return chosen


def _is_description(file: Path) -> bool:
    return file.name.lower() in {
        "dataset_info.json",
        "dataset_infos.json",
        "state.json",
        "manifest.json",
        "dataset_dict.json",
    }


def _of_split(directory: Path, files: list[Path], split: str) -> list[Path]:
    """The files whose name holds the split, when the names of the files speak of splits at all."""
    parts = {file: _part(file.name) for file in files}
    if not any(parts.values()):
        return files
    same = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}
    wanted = same.get(split, split)
    found = [file for file, part in parts.items() if same.get(part, part) == wanted]
    if not found:
        names = ", ".join(sorted({part for part in parts.values() if part}))
        raise UserError(
            f"No file of the directory is for {snippet(split, 40)}.", str(directory), f"Its files are for: {names}."
        )
    return found


def _part(name: str) -> str:
    words = re.split(r"[^a-z]+", name.lower())
    return next((part for part in _PARTS if part in words), "")


def _names(names: list[str]) -> str:
    shown = ", ".join(snippet(name, 60) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
