"""Where rows come from: one file, the files of a directory, or a dataset on the Hub."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from engine.data.parquet_rows import plain_value
from engine.data.read import read_rows
from engine.data.rows import ReadOptions, ReadReport, Row, snippet
from engine.data.source import ROW_SUFFIXES, row_suffix
from engine.errors import UserError
from engine.machine.packages import install_command

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_TEXT_SUFFIXES = {".txt", ".md"}
_PARTS = ("train", "validation", "valid", "val", "dev", "eval", "test")
_MOST_FILES = 10_000


def open_rows(source: str, options: ReadOptions, report: ReadReport, limit: int | None = None) -> Iterator[Row]:
    """The rows of a data source, streamed and numbered from 1. Raises UserError as `read_rows` does."""
    path = Path(source).expanduser()
    if is_hub_name(source):
        rows = _hub_rows(source, options, report)
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


def _hub_rows(name: str, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """Rows of a Hub dataset through the datasets library, streamed. No code of the dataset is run."""
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise UserError(
            f"{name} is a dataset on the Hub, and the package that reads it is not installed.", name,
            f"Install it with: {install_command('datasets')}, or give a file.",
        ) from None  # fmt: skip
    split = options.split or "train"
    report.note(
        f"The rows are the split {snippet(split, 40)} of the Hub dataset {snippet(name, 80)}, in the types it declares."
    )
    report.encoding = "hub"
    number = 0
    try:
        rows = datasets.load_dataset(
            name, options.config or None, split=split, revision=options.revision or None, streaming=True
        )
        for fields in rows:
            number += 1
            yield Row(number, {str(key): plain_value(value) for key, value in fields.items()}, 0, name)
    except UserError:
        raise
    except Exception as error:  # the library raises of every kind
        raise _hub_error(name, split, error) from None
    if number == 0:
        raise UserError(f"The split {split} of {name} has no rows.", name, "Choose another split.")


def _hub_error(name: str, split: str, error: Exception) -> UserError:
    kind, words = type(error).__name__, snippet(str(error).splitlines()[0] if str(error) else "", 200)
    chain: list[Any] = [kind, type(error.__cause__).__name__, type(error.__context__).__name__]
    if "GatedRepoError" in chain or "gated" in words.lower():
        return UserError(
            f"{name} asks for an agreement before it may be read.",
            name,
            f"Accept it at https://huggingface.co/datasets/{name}, then run `hf auth login`.",
        )
    if any(
        text in chain
        for text in (
            "ConnectionError",
            "ConnectError",
            "OfflineModeIsEnabled",
            "LocalEntryNotFoundError",
            "ConnectTimeout",
        )
    ):
        return UserError(
            f"The Hub cannot be reached, so {name} cannot be read.", name, "Check the connection, or give a file."
        )
    if kind in {"DatasetNotFoundError", "RepositoryNotFoundError", "FileNotFoundError"}:
        return UserError(
            f"There is no dataset {name} on the Hub, and no such file here.",
            name,
            "Check the name, or give the path of a file.",
        )
    if "split" in words.lower():
        return UserError(
            f"{name} has no split {snippet(split, 40)}. {words}", name, "Set data.split to one of its splits."
        )
    if "config" in words.lower():
        return UserError(f"{name} has several configurations. {words}", name, "Set data.config to one of them.")
    return UserError(f"{name} could not be read: {kind}: {words}", name, "Download one of its files and give that.")
