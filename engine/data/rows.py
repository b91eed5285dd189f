"""A row of a data file, the place it came from, and what reading has to say about it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import UserError

SNIPPET_CHARACTERS = 200


class Row(NamedTuple):
    """One row as it was written: `number` counts rows from 1, `line` is the line of `file` where the row begins.

    A tuple, since it is made once per row and a frozen dataclass takes a microsecond longer.
    """

    number: int
    fields: dict[str, Any]
    line: int = 0
    file: str = ""

    @property
    def where(self) -> str:
        """`file:line` for messages, or the row's number where the format has no lines."""
        return f"{self.file}:{self.line}" if self.line else f"{self.file} row {self.number}"


@dataclass(frozen=True)
class ReadOptions:
    """What a person may say about a file; every default means "find out, and say what was found".

    `encoding` is a Python codec name, `delimiter` one character, `header` whether the first CSV row names the columns,
    `split` a list of a wrapping JSON object, a file of a directory or a split of a Hub dataset.
    `skip_bad_rows` reads on after a row that cannot be read and counts it in the report.
    """

    encoding: str = ""
    delimiter: str = ""
    header: bool | None = None
    split: str = ""
    config: str = ""
    revision: str = ""
    skip_bad_rows: bool = False

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> ReadOptions:
        """The reading options among the fields of a job's request; what is missing is found out."""
        header = request.get("header")
        words = {
            name: str(request.get(name) or "") for name in ("encoding", "delimiter", "split", "config", "revision")
        }
        known = header if isinstance(header, bool) else None
        return cls(**words, header=known, skip_bad_rows=bool(request.get("skip_bad_rows")))


@dataclass
class BadRow:
    """A row that could not be read: where, and why in a sentence."""

    where: str
    reason: str


@dataclass
class ReadReport:
    """What the reader did that a person should know. `notes` are whole sentences, each said once."""

    notes: list[str] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)
    bad_row_count: int = 0
    bytes_read: int = 0
    encoding: str = "utf-8"
    delimiter: str = ""
    header: bool = True

    KEPT_BAD_ROWS = 1000

    def note(self, sentence: str) -> None:
        """Keep a sentence once, in the order in which they came."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def bad(self, where: str, reason: str) -> None:
        """Count a row that was not read; the first thousand are kept with their reason."""
        self.bad_row_count += 1
        if len(self.bad_rows) < self.KEPT_BAD_ROWS:
            self.bad_rows.append(BadRow(where, reason))


def no_rows(path: Path) -> UserError:
    """What an empty file gets."""
    return UserError(f"{path.name} has no rows.", str(path), "Give a file with at least one row.")


class WrittenFloat(float):
    """A JSON number that keeps the text it was written with.

    It behaves as the float wherever a template or a library needs a number. Where the value becomes training text,
    `text` is used, since `150.50`, `1E5` and `1e400` are not what `repr` of the float gives back.
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __reduce__(self) -> tuple[type[WrittenFloat], tuple[str]]:
        return WrittenFloat, (self.text,)


def as_text(value: object) -> str:
    """The text of a value as a JSON file writes it: strings bare, numbers with their own digits, objects as JSON."""
    if isinstance(value, str):
        return value
    return json_text(value)


def json_text(value: object) -> str:
    """JSON of a value on one line, in the style of `json.dumps(ensure_ascii=False)`, numbers with their own digits."""
    if isinstance(value, WrittenFloat):
        return value.text
    if isinstance(value, Mapping):
        inside = ", ".join(
            f"{json.dumps(str(key), ensure_ascii=False)}: {json_text(item)}" for key, item in value.items()
        )
        return "{" + inside + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(json_text(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)


def snippet(text: str, limit: int = SNIPPET_CHARACTERS) -> str:
    """At most `limit` characters of untrusted text on one line; controls and bidi marks become visible escapes."""
    cut = text[:limit]
    cleaned = "".join(character if _is_plain(character) else _escaped(character) for character in cut)
    return cleaned + ("…" if len(text) > limit else "")


def _is_plain(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] not in "CZ"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
