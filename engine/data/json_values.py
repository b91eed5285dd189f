"""JSON, strictly: numbers keep their digits, and what would be lost is an error that says where and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from engine.data.rows import WrittenFloat, snippet

_SURROGATE = re.compile(r"\\u[dD]")
SPACE = re.compile(r"[ \t\n\r]*")


class JsonError(ValueError):
    """Text that is not JSON, or JSON that would lose something. `position` is an index into the text, `reason` a whole
    sentence."""

    def __init__(self, reason: str, position: int = 0, incomplete: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason if reason.endswith(".") else f"{reason}."
        self.position = position
        self.incomplete = incomplete


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON. Write null, a number, or text in quotes.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f'The key "{snippet(key, 60)}" stands twice in one object.')
            seen.add(key)
    return fields


def _whole_number(text: str) -> int | WrittenFloat:
    return WrittenFloat(text) if text == "-0" or len(text) > 4000 else int(text)


_DECODER = json.JSONDecoder(
    parse_float=WrittenFloat, parse_constant=_refuse_constant, parse_int=_whole_number, object_pairs_hook=_unique
)
_SCAN: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]


def parse_json(text: str) -> Any:
    """The one JSON value in `text`, with nothing but white space around it. Raises JsonError.

    Numbers with a fraction or an exponent are `WrittenFloat`; doubled keys, NaN and halves of surrogate pairs are
    errors.
    """
    try:
        value, end = _SCAN(text, 0)
        if end == len(text):
            _check_pairs(value, text, 0, end)
            return value
    except (ValueError, RecursionError, StopIteration):
        pass  # the long way says what is wrong
    return _parse_carefully(text)


def _parse_carefully(text: str) -> Any:
    value, end = decode_at(text, SPACE.match(text, 0).end())  # type: ignore[union-attr]
    rest = SPACE.match(text, end).end()  # type: ignore[union-attr]
    if rest != len(text):
        raise JsonError(f"After the JSON value there is more: {snippet(text[rest:], 40)}", rest)
    return value


def decode_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at `start`, and the index behind it. Raises JsonError."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _explained(text, error) from None
    except JsonError as error:
        error.position = start
        raise
    except RecursionError:
        raise JsonError("The value is nested too deeply.", start) from None
    _check_pairs(value, text, start, end)
    return value, end


def _check_pairs(value: Any, text: str, start: int, end: int) -> None:
    if text.find("\\", start, end) >= 0 and _SURROGATE.search(text, start, end):
        _refuse_half_pairs(value, start)


def _refuse_half_pairs(value: Any, start: int) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if any("\ud800" <= character <= "\udfff" for character in item):
                raise JsonError("A \\u escape is half of a surrogate pair: it is no character.", start)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


_WORDS = {
    "Expecting value": "A value is missing or is not JSON",
    "Expecting property name enclosed in double quotes": "A key in double quotes is expected",
    "Illegal trailing comma before end of object": "There is a comma after the last entry",
    "Illegal trailing comma before end of array": "There is a comma after the last entry",
    "Expecting ',' delimiter": "A comma or a closing bracket is missing",
    "Expecting ':' delimiter": "A colon is missing after a key",
    "Unterminated string starting at": "A text in quotes never ends",
    "Invalid control character at": "A control character or a line end stands raw inside a text in quotes",
    "Invalid \\escape": "There is a backslash that escapes nothing",
    "Invalid \\uXXXX escape": "A \\u escape does not have four hexadecimal digits",
}


def _explained(text: str, error: json.JSONDecodeError) -> JsonError:
    words = _WORDS.get(error.msg.rstrip(": "), error.msg)
    rest = text[error.pos : error.pos + 40]
    at_end = not rest.strip()
    here = " at the end" if at_end else f" at: {snippet(rest, 30)}"
    incomplete = at_end or error.msg.startswith("Unterminated") or len(text) - error.pos < 16
    return JsonError(words + here, error.pos, incomplete)
