"""JSON values read one after another from blocks of text, holding little more than the value at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.data.json_values import SPACE, JsonError, decode_at
from engine.data.rows import snippet

LARGEST_VALUE = 64 << 20
"""Characters of the largest single element of an array that is held in memory."""
_NUMBER_GOES_ON = re.compile(r"[0-9.eE+-]*\Z")


class JsonCursor:
    """Reads values one after another from blocks of text, holding little more than the value at hand."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self._blocks = blocks
        self._text = ""
        self._at = 0
        self._line = 1
        self._counted = 0
        self._ended = False

    @property
    def line(self) -> int:
        """The line, from 1, on which the next character stands."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    @property
    def position(self) -> int:
        """The index of the next character, for errors."""
        return self._at

    def line_at(self, position: int) -> int:
        """The line of an index that an error of this cursor gave."""
        return self.line + self._text.count("\n", self._at, position)

    def _more(self) -> bool:
        """Forget what was read, take in at least as much again as is left. False at the end of the text."""
        self._line = self.line
        parts = [self._text[self._at :]]
        self._at = self._counted = 0
        wanted, got = len(parts[0]), 0
        while not self._ended and got <= wanted:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
            else:
                parts.append(block)
                got += len(block)
        self._text = "".join(parts)
        return got > 0

    def peek(self) -> str:
        """The next character that is not white space, or nothing at the end."""
        while True:
            self._at = SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> bool:
        """Step over `expected` when it comes next."""
        if self.peek() == expected:
            self._at += 1
            return True
        return False

    def value(self) -> Any:
        """Read one value. Raises JsonError with a position for `line_at`."""
        self.peek()
        while True:
            try:
                value, end = decode_at(self._text, self._at)
                # a number at the end of a block may go on in the next one
                if self._ended or not _NUMBER_GOES_ON.match(self._text, end):
                    self._at = end
                    return value
            except JsonError as error:
                if self._ended or not error.incomplete:
                    raise
            if len(self._text) - self._at > LARGEST_VALUE:
                raise JsonError(f"One value is longer than {LARGEST_VALUE >> 20} MB.", self._at)
            self._more()

    def rest(self, limit: int = 40) -> str:
        """A few characters from here, for messages."""
        return snippet(self._text[self._at : self._at + limit], limit)
