"""Rows of a file that is one JSON value: an array, or an object that wraps one; or of objects one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.json_cursor import JsonCursor
from engine.data.json_values import JsonError
from engine.data.lines import TextFile
from engine.data.rows import ReadOptions, ReadReport, Row, no_rows, snippet
from engine.errors import UserError

_ONE_ROW_KEYS = {"messages", "conversations", "conversation", "chosen", "rejected", "tools", "dialog", "dialogue",
                 "turns"}  # fmt: skip
"""Keys whose list belongs to one row; a list under any other key at the top of a file is a list of rows."""


def json_row(number: int, value: Any, line: int, path: Path) -> Row:
    """The row that one JSON value is; a bare text is a row of plain text. Raises JsonError for any other kind."""
    if isinstance(value, dict):
        return Row(number, value, line, str(path))
    if isinstance(value, str):
        return Row(number, {"text": value}, line, str(path))
    kind = {list: "a list", bool: "true or false", type(None): "null"}.get(type(value), "a number")
    raise JsonError(f"The row is {kind}, where an object with named columns is expected.")


def read_json(path: Path, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """Rows of an array, of an object that wraps an array, of one object, or of objects one after another."""
    with TextFile(path, options, report) as file:
        yield from read_json_blocks(path, file, options, report)


def read_json_blocks(path: Path, file: TextFile, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """As `read_json`, for a file that is open already."""
    cursor = JsonCursor(file.blocks())
    try:
        yield from _Rows(path, cursor, options, report).all()
    except JsonError as error:
        line = cursor.line_at(error.position)
        what = f"Line {line} breaks the JSON. {error.reason}"
        raise UserError(what, f"{path}:{line}", "Mend the file at that line.") from None


class _Rows:
    """The rows below one cursor."""

    def __init__(self, path: Path, cursor: JsonCursor, options: ReadOptions, report: ReadReport) -> None:
        self.path, self.cursor, self.options, self.report = path, cursor, options, report
        self.number = 0

    def all(self) -> Iterator[Row]:
        first = self.cursor.peek()
        if first == "[":
            yield from self._array()
            self._expect_end()
        elif first:
            yield from self._objects()
        if self.number == 0:
            raise no_rows(self.path)

    def _expect_end(self) -> None:
        if self.cursor.peek():
            raise JsonError(f"After the end of the array there is more: {self.cursor.rest()}", self.cursor.position)

    def _array(self) -> Iterator[Row]:
        self.cursor.take("[")
        if self.cursor.take("]"):
            return
        while True:
            self.cursor.peek()
            line = self.cursor.line
            row = self._next(line)
            if row:
                yield row
            if self.cursor.take("]"):
                return
            if not self.cursor.take(","):
                raise JsonError(
                    f"A comma or the end of the array is missing at: {self.cursor.rest()}", self.cursor.position
                )

    def _next(self, line: int) -> Row | None:
        """The next value as a row; None when it is no row and bad rows are passed over."""
        value = self.cursor.value()
        self.number += 1
        try:
            return json_row(self.number, value, line, self.path)
        except JsonError as error:
            where = f"{self.path}:{line}"
            if not self.options.skip_bad_rows:
                raise UserError(f"Line {line}: {error.reason}", where, "Give an array of objects.") from None
            self.report.bad(where, error.reason)
            return None

    def _objects(self) -> Iterator[Row]:
        """Top-level objects: the first may wrap the rows; more than one are rows themselves."""
        if self.cursor.peek() == "{":
            yield from self._object()
        while self.cursor.peek():
            row = self._next(self.cursor.line)
            if row:
                yield row

    def _object(self) -> Iterator[Row]:
        line = self.cursor.line
        self.cursor.take("{")
        fields: dict[str, Any] = {}
        streamed = ""
        lists: list[str] = []
        done = self.cursor.take("}")
        while not done:
            key = self._key(fields)
            is_rows = self.cursor.peek() == "[" and key not in _ONE_ROW_KEYS
            if is_rows and not streamed and self._wanted(key) and not self._one_row(fields):
                streamed = key
                yield from self._array()
            else:
                fields[key] = self.cursor.value()
                if is_rows:
                    lists.append(key)
            done = self._object_goes_on()
        if streamed:
            self._say_wrapped(streamed, [*fields])
        elif self._wrong_split(lists):
            raise UserError(
                f"The file has no list called {self.options.split}.",
                str(self.path),
                f"Its lists are: {', '.join(lists)}.",
            )
        else:
            self.number += 1
            yield Row(self.number, fields, line, str(self.path))

    def _wanted(self, key: str) -> bool:
        return not self.options.split or self.options.split == key or self.options.split == "train"

    def _one_row(self, fields: dict[str, Any]) -> bool:
        """Whether the object has the text columns of a row, so that a list in it is a value of that row."""
        return bool(_ONE_ROW_KEYS & fields.keys()) or sum(isinstance(value, str) for value in fields.values()) >= 2

    def _wrong_split(self, lists: list[str]) -> bool:
        return bool(lists) and bool(self.options.split) and self.options.split not in {"train", *lists}

    def _key(self, fields: dict[str, Any]) -> str:
        if self.cursor.peek() != '"':
            raise JsonError(f"A key in double quotes is expected at: {self.cursor.rest()}", self.cursor.position)
        key = str(self.cursor.value())
        if key in fields:
            raise JsonError(f'The key "{snippet(key, 60)}" stands twice in one object.', self.cursor.position)
        if not self.cursor.take(":"):
            raise JsonError(f"A colon is missing after a key at: {self.cursor.rest()}", self.cursor.position)
        return key

    def _object_goes_on(self) -> bool:
        """Step over the comma or the closing bracket; True when the object is done."""
        if self.cursor.take("}"):
            return True
        if not self.cursor.take(","):
            raise JsonError(f"A comma or a closing bracket is missing at: {self.cursor.rest()}", self.cursor.position)
        return False

    def _say_wrapped(self, key: str, others: list[str]) -> None:
        note = f'The rows are the list under "{snippet(key, 60)}".'
        if others:
            note += f" Not read: {', '.join(snippet(other, 40) for other in others[:8])}."
        self.report.note(note)
