"""A file as numbered lines or as blocks of text, decoded strictly and within a memory bound."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engine.data.encoding import decide_encoding, not_decodable
from engine.data.rows import ReadOptions, ReadReport
from engine.data.source import SNIFFED_BYTES, open_bytes
from engine.errors import UserError

LONGEST_LINE = 64 << 20
"""Bytes (or characters, where the encoding is not UTF-8) of the longest line that is read: 1 000 times any context
length."""
BLOCK_BYTES = 1 << 20


class TextFile:
    """An open data file. Use one of `lines` and `blocks`, once; close it afterwards (it is a context manager)."""

    def __init__(self, path: Path, options: ReadOptions, report: ReadReport) -> None:
        self.path = path
        self.report = report
        self._stream: IO[bytes] = open_bytes(path)
        head = self._stream.peek(SNIFFED_BYTES)[: SNIFFED_BYTES * 16]  # type: ignore[attr-defined]
        self.encoding = decide_encoding(path, head, options, report)
        self.head = head.decode(self.encoding, "ignore")
        self.newline = "\r" if "\r" in self.head[:-1] and "\n" not in self.head else "\n"

    def __enter__(self) -> TextFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def lines(self) -> Iterator[tuple[int, str]]:
        """Numbered lines with their ends. UserError for bytes of another encoding and for a line beyond the bound."""
        if self.encoding in {"utf-8", "utf-8-sig"} and self.newline == "\n":
            return self._utf8_lines()
        return self._other_lines()

    def _utf8_lines(self) -> Iterator[tuple[int, str]]:
        read, number = self._stream.readline, 0
        while raw := read(LONGEST_LINE):
            number += 1
            if number == 1 and self.encoding == "utf-8-sig":
                raw = raw.removeprefix(codecs.BOM_UTF8)
            if len(raw) >= LONGEST_LINE:
                raise self._too_long(number)
            self.report.bytes_read += len(raw)
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise not_decodable(self.path, number, error, raw) from None
            yield number, line

    def _other_lines(self) -> Iterator[tuple[int, str]]:
        number = 0
        text = io.TextIOWrapper(self._stream, encoding=self.encoding, errors="strict", newline=self.newline)
        while True:
            try:
                line = text.readline(LONGEST_LINE)
            except UnicodeDecodeError as error:
                line_number = number + 1 + error.object[: error.start].count(b"\n")
                raise not_decodable(self.path, line_number, error, error.object) from None
            if not line:
                return
            number += 1
            if len(line) >= LONGEST_LINE:
                raise self._too_long(number)
            self.report.bytes_read += len(line)
            yield number, line

    def _too_long(self, number: int) -> UserError:
        return UserError(
            f"Line {number} is longer than {LONGEST_LINE >> 20} MB.",
            f"{self.path}:{number}",
            "A row of that size cannot be trained on. Split it, or check that the file has line ends.",
        )

    def blocks(self) -> Iterator[str]:
        """The text in blocks of about a megabyte."""
        decoder = codecs.getincrementaldecoder(self.encoding)("strict")
        newlines = 0
        while True:
            raw = self._stream.read(BLOCK_BYTES)
            self.report.bytes_read += len(raw)
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                line = newlines + 1 + error.object[: error.start].count(b"\n")
                raise not_decodable(self.path, line, error, error.object[error.start :]) from None
            newlines += text.count("\n")
            if text:
                yield text
            if not raw:
                return
