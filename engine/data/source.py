"""Opening a data file: what kind of thing the path is, and what its first bytes give away."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from engine.data.packed import open_packed, packed_suffix
from engine.errors import UserError

ROW_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".md", ".parquet")
SNIFFED_BYTES = 4096

_KINDS = (
    (stat.S_ISDIR, "is a directory"),
    (stat.S_ISFIFO, "is a pipe, and reading a pipe may wait for ever"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISSOCK, "is a socket"),
)

_FOREIGN = (
    (
        b"version https://git-lfs.github.com/",
        "is a Git LFS pointer, not the data itself.",
        "Run `git lfs pull` in that repository.",
    ),
    (b"%PDF-", "is a PDF document.", "Save its text as .txt, one document per block."),
    (b"\xd0\xcf\x11\xe0", "is an old Excel or Word file.", "Save it as CSV (UTF-8) in the program that made it."),
    (b"SQLite format 3", "is an SQLite database.", "Export the table as CSV or JSON lines."),
    (b"\x89PNG", "is a picture.", "Give a file with text rows."),
    (b"GGUF", "is a GGUF model, not data.", "Give a file with text rows."),
    (b"\x7fELF", "is a program, not data.", "Give a file with text rows."),
)


def check_path(path: Path) -> os.stat_result:
    """The file's facts, after making sure that it is a readable regular file; UserError names the exact kind else."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise _missing(path) from None
    except PermissionError:
        raise UserError(
            f"A directory above {path.name} may not be entered.",
            str(path),
            "Ask for search permission (chmod +x) on it.",
        ) from None
    except OSError as error:
        reason = (
            "is a loop of symbolic links"
            if "loop" in str(error).lower() or "symbolic" in str(error).lower()
            else str(error.strerror)
        )
        raise UserError(
            f"{path.name} cannot be opened: it {reason}.", str(path), "Give the path of a regular file."
        ) from None
    except ValueError:
        raise UserError(
            "The path holds a NUL character.", snippet_path(path), "Give the path of a regular file."
        ) from None
    for is_kind, sentence in _KINDS:
        if is_kind(facts.st_mode):
            raise UserError(f"{path.name or path} {sentence}.", str(path), "Give the path of a regular file.")
    if not os.access(path, os.R_OK):
        raise UserError(
            f"{path.name} may not be read by this user.", str(path), f"Give read permission: chmod u+r {path}"
        )
    return facts


def snippet_path(path: Path) -> str:
    """A path that is safe to show."""
    return str(path).encode("unicode_escape").decode("ascii")


def _missing(path: Path) -> UserError:
    if path.is_symlink():
        return UserError(
            f"{path.name} is a link to a file that does not exist.", str(path), "Mend the link or give another file."
        )
    near: list[str] = []
    if path.parent.is_dir():
        from difflib import get_close_matches

        names = [entry.name for entry in path.parent.iterdir()]
        near = get_close_matches(path.name, names, n=3)
    fix = f"Did you mean {' or '.join(near)}?" if near else "Check the path, or give the name of a dataset on the Hub."
    return UserError(f"There is no file {path.name}.", str(path), fix)


def open_bytes(path: Path) -> IO[bytes]:
    """A checked, decompressed byte stream of the file. Errors of the packing are raised as UserError while reading."""
    check_path(path)
    stream = open_packed(path)
    try:
        head = stream.peek(SNIFFED_BYTES)[:SNIFFED_BYTES]
        refuse_foreign(path, head)
    except BaseException:
        stream.close()
        raise
    return stream


def refuse_foreign(path: Path, head: bytes) -> None:
    """Say what the bytes really are when they belong to no format that holds rows."""
    for magic, what, fix in _FOREIGN:
        if head.startswith(magic):
            raise UserError(f"{path.name} {what}", str(path), fix)
    if head.startswith(b"PK\x03\x04"):
        raise UserError(
            f"{path.name} is a ZIP file or an Excel workbook.",
            str(path),
            "Unpack it, or save the sheet as CSV (UTF-8), and give that file.",
        )
    start = head.lstrip()[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise UserError(
            f"{path.name} is a web page, probably an error page saved by a download.",
            str(path),
            "Download the raw file again.",
        )
    if head.startswith(b"PAR1") and row_suffix(path) != ".parquet":
        raise UserError(
            f"{path.name} is a Parquet file with another ending.", str(path), "Rename it to end in .parquet."
        )


def row_suffix(path: Path) -> str:
    """The ending that names the row format, in lower case, below any packing: `rows.jsonl.gz` gives `.jsonl`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and packed_suffix(path):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
