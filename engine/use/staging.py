"""Directories that appear whole or not at all: written under a hidden name, synced, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.runs.files import read_json, sync_directory

MARK = "tunewright-export.json"
"""Written into every export; a folder with it may be replaced by a newer export, any other may not."""

SPARE_BYTES = 64 * 1024 * 1024
"""Room that must be left on the disk after an export."""


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A hidden directory beside `target` that takes its place when the block ends well.

    Leftovers of an interrupted export are removed first; a lock keeps a second export away.
    Raises UserError when `target` holds something that is not an export, or another export is writing it.
    """
    target = target.expanduser().absolute()
    _make_parents(target.parent)
    stage = target.with_name(f".{target.name}.part")
    with _held(stage, target):
        _recover(target)
        _refuse_foreign(target)
        _empty(stage)
        try:
            yield stage
            open_to_all(stage)
            _replace(stage, target)
        except OSError as error:
            raise _failed(error, target) from error
        except Exception as error:
            if "No space left on device" not in str(error):  # safetensors says it in an error of its own
                raise
            raise _failed(OSError(errno.ENOSPC, "No space left on device"), target) from error
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raise UserError when the disk under `folder` has less than `needed_bytes` and some spare room."""
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed_bytes + SPARE_BYTES:
        what = f"The export needs {_gb(needed_bytes)} and the disk has {_gb(free)} free."
        raise UserError(what, str(place), "Make room, or choose another folder with --out.")


def open_to_all(folder: Path) -> None:
    """Make files readable by every user (0644, directories 0755) and durable.

    Ollama usually runs as its own service user, which must be able to read what is exported.
    """
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    folder.chmod(0o755)
    for path in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        sync_directory(path)


def _make_parents(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _failed(error, folder) from error


@contextlib.contextmanager
def _held(stage: Path, target: Path) -> Iterator[None]:
    """Make the staging directory and hold a lock on it, which also ends when this process is killed."""
    try:
        stage.mkdir(exist_ok=True)
        descriptor = os.open(stage, os.O_RDONLY)
    except OSError as error:
        raise _failed(error, target) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UserError("Another export is writing to this folder.", str(target), "Wait until it ends.") from error
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _recover(target: Path) -> None:
    """Put an older export back that was moved aside when the program was killed between two renames."""
    old = target.with_name(f".{target.name}.old")
    if old.exists() and not target.exists():
        old.rename(target)


def _refuse_foreign(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UserError("The output exists and is not a folder.", str(target), "Choose another one with --out.")
    if target.is_dir() and any(target.iterdir()) and not is_export(target):
        fix = "Choose another folder with --out, or empty this one yourself."
        raise UserError("The output folder holds files that are not an export of ours.", str(target), fix)


def is_export(folder: Path) -> bool:
    """True when `folder` was written by an export of this program."""
    return bool(export_facts(folder))


def export_facts(folder: Path) -> dict[str, Any]:
    """What an export says about itself; empty when it is none."""
    return read_json(folder / MARK)


def _replace(stage: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        stage.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    sync_directory(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _failed(error: OSError, target: Path) -> UserError:
    is_full = error.errno == errno.ENOSPC
    fix = "Make room, or choose another folder with --out." if is_full else "Check the folder's permissions."
    return UserError(f"The export cannot be written: {error.strerror or error}.", str(target), fix, exit_code=1)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
