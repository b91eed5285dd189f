"""Which encoding a file is in: certain from its first bytes, said by a person, or UTF-8; never a silent guess."""

from __future__ import annotations

import codecs
import importlib
import unicodedata
from pathlib import Path

from engine.data.rows import ReadOptions, ReadReport, snippet
from engine.errors import UserError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark; the mark is not part of the text."),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32."),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32."),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16."),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16."),
)
SAMPLED_BYTES = 65536
_CONTROL_SHARE = 0.04
"""Of bytes that are spread evenly 11 % are such; no code page uses them for letters."""
_ZERO_SHARE = 0.3
"""UTF-16 of Western text has a zero in nearly every second byte; UTF-8 text has none."""


def decide_encoding(path: Path, head: bytes, options: ReadOptions, report: ReadReport) -> str:
    """The codec to read with, noted in the report. UserError when the codec is unknown or the bytes look like bare
    UTF-16."""
    encoding = _decided(path, head, options, report)
    report.encoding = encoding
    return encoding


def _decided(path: Path, head: bytes, options: ReadOptions, report: ReadReport) -> str:
    for mark, codec, name in _MARKS:
        if head.startswith(mark):
            report.note(f"The file is {name}")
            return codec
    if options.encoding:
        return _named(path, options.encoding, report)
    even, odd = head[0::2], head[1::2]
    for zeros, other, codec in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(zeros) > 1 and zeros.count(0) > _ZERO_SHARE * len(zeros) and other.count(0) * 4 < zeros.count(0):
            preview = snippet(head[:60].decode(codec, "replace"))
            raise UserError(
                f"{path.name} looks like UTF-16 without a byte order mark. Read so, it begins: {preview}",
                f"{path}:1",
                f"Say encoding {codec}.",
            )
    return "utf-8"


def _named(path: Path, name: str, report: ReadReport) -> str:
    try:
        codec = codecs.lookup(name).name
        b"".decode(codec)
    except (LookupError, TypeError, ValueError):
        raise UserError(
            f"There is no text encoding called {snippet(name)}.", str(path), "Use utf-8, cp1252, latin-1 or utf-16."
        ) from None
    if codec != "utf-8":
        report.note(f"The file is read as {codec}, as you said.")
    return codec


def not_decodable(path: Path, line: int, error: UnicodeDecodeError, raw: bytes) -> UserError:
    """What to say about bytes that are not text in the encoding: line, byte, and what they would be elsewhere."""
    if _is_binary(raw):
        what = f"{path.name} is not text: it holds bytes that no text has."
        return UserError(what, str(path), "Give a file with rows of text, saved as UTF-8.")
    byte = error.object[error.start]
    column = error.start - (error.object.rfind(b"\n", 0, error.start) + 1) + 1
    fix = "Save the file as UTF-8, or say its encoding."
    if error.encoding in {"utf-8", "utf_8"}:
        codec, preview = suggest_encoding(raw)
        said = f"set data.encoding to {codec} (--set data.encoding={codec})"
        fix = f'If "{preview}" is right, {said}; else save the file as UTF-8.'
    name = {"utf-8": "UTF-8", "utf_8": "UTF-8"}.get(error.encoding, error.encoding)
    return UserError(
        f"Line {line} is not {name}: byte 0x{byte:02X} at byte {column} of the line.", f"{path}:{line}", fix
    )


def suggest_encoding(raw: bytes) -> tuple[str, str]:
    """A codec in which the bytes are text, and the words around the first byte that is not ASCII in it."""
    codec = _detected(raw)
    first = next((index for index, byte in enumerate(raw) if byte > 0x7F), 0)
    around = raw[max(0, first - 20) : first + 20]
    return codec, snippet(around.decode(codec, "replace").strip())


def _is_binary(raw: bytes) -> bool:
    """Whether control bytes are too many for any text: one that was damaged has a few, a picture every tenth."""
    sample = raw[:SAMPLED_BYTES]
    return sum(byte < 0x20 and byte not in b"\t\n\r\f" for byte in sample) > _CONTROL_SHARE * len(sample)


_FEWEST_BYTES = 4
"""With fewer bytes that are not ASCII every code page looks equally likely; the western one is then the usual case."""


def _detected(raw: bytes) -> str:
    if sum(byte > 0x7F for byte in raw[:SAMPLED_BYTES]) < _FEWEST_BYTES:
        return _western(raw)
    try:
        from_bytes = importlib.import_module("charset_normalizer").from_bytes
    except ImportError:
        return _western(raw)
    sample = raw[:SAMPLED_BYTES]
    best = from_bytes(sample).best()
    if best is None or best.encoding in {"ascii", "utf_8"}:
        return _western(raw)
    western = sample.decode(_western(raw), "replace")
    # Latin code pages read each other's letters as other letters: the usual one is taken unless it gives fewer letters
    is_latin = _letters(str(best), latin_only=True) == _letters(str(best))
    return _western(raw) if is_latin and _letters(western) >= _letters(str(best)) else str(best.encoding)


def _letters(text: str, latin_only: bool = False) -> int:
    """How many letters beyond ASCII there are; with `latin_only` those of the Latin script."""
    letters = (letter for letter in text if letter > "\x7f" and letter.isalpha())
    return sum(not latin_only or unicodedata.name(letter, "").startswith("LATIN") for letter in letters)


def _western(raw: bytes) -> str:
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"
