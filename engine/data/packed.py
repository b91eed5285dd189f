"""Compressed files as byte streams, with errors that say whether a download is incomplete."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import zlib
from pathlib import Path
from typing import Any, cast

from engine.errors import UserError

_MAGIC = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".zst": b"\x28\xb5\x2f\xfd"}
_NAMES = {".gz": "gzip", ".bz2": "bzip2", ".zst": "Zstandard"}


def packed_suffix(path: Path) -> str:
    """`.gz`, `.bz2` or `.zst` when the file's name ends so, else nothing."""
    suffix = path.suffix.lower()
    return suffix if suffix in _MAGIC else ""


def open_packed(path: Path) -> io.BufferedReader:
    """The file's bytes, unpacked when its first bytes are those of a known packing, whatever its name says."""
    with path.open("rb") as file:
        head = file.read(4)
    suffix = packed_suffix(path)
    found = next((ending for ending, magic in _MAGIC.items() if head.startswith(magic)), "")
    if suffix and not found:
        raise UserError(
            f"{path.name} is not a {_NAMES[suffix]} file, although its name says so.",
            str(path),
            f"Remove {suffix} from its name, or download it again.",
        )
    if not found:
        return path.open("rb")
    return io.BufferedReader(_PackedReader(path, found), 1 << 16)


def _unpacking(path: Path, suffix: str) -> Any:
    if suffix == ".gz":
        return gzip.open(path, "rb")
    if suffix == ".bz2":
        return bz2.open(path, "rb")
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        raise UserError(
            f"{path.name} is packed with Zstandard, and the package that unpacks it is not installed.",
            str(path),
            "Install it with `pip install zstandard`, or unpack the file with `unzstd`.",
        ) from None
    return zstandard.open(path, "rb")


class _PackedReader(io.RawIOBase):
    """Reads an unpacking stream and turns its errors into sentences."""

    def __init__(self, path: Path, suffix: str) -> None:
        self._path = path
        self._name = _NAMES[suffix]
        self._stream = _unpacking(path, suffix)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = cast(bytes, self._stream.read(len(buffer)))
        except EOFError:
            raise self._broken("ends too early: its download or copy is incomplete") from None
        except (OSError, zlib.error, ValueError) as error:
            raise self._broken(f"is damaged ({error})") from None
        except Exception as error:  # zstandard's error class is not importable where the package is missing
            raise self._broken(f"is damaged ({error})") from None
        buffer[: len(block)] = block
        return len(block)

    def _broken(self, reason: str) -> UserError:
        return UserError(
            f"The {self._name} file {self._path.name} {reason}.", str(self._path), "Download or copy it again."
        )

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
