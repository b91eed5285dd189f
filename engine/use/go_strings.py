"""Strings of Go: text as template source, quoted strings read, and what Go calls printable."""

from __future__ import annotations

import re
import unicodedata

_ESCAPE = re.compile(r"\\(U[0-9a-fA-F]{8}|u[0-9a-fA-F]{4}|.)")
_SHORT_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class GoTemplateError(ValueError):
    """The template uses something that this interpreter does not know, or is malformed."""


def literal(text: str) -> str:
    """`text` as template source that renders to exactly `text`.

    Plain text stands as it is. What Go would read as an action, and characters that Ollama's Modelfile reader
    drops because they are not printable, stand in a quoted string with escapes.
    """
    parts = re.split(r"(\{\{|[^\x20-\x7e\n\t]+)", text)
    return "".join(_escaped(part) for part in parts if part)


def go_printable(character: str) -> bool:
    """Go's strconv.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII space."""
    return character == " " or unicodedata.category(character)[0] in "LMNPS"


def _escaped(part: str) -> str:
    if part == "{{":
        return '{{ "{{" }}'
    if all(go_printable(character) or character in "\n\t" for character in part):
        return part
    return '{{ "' + "".join(f"\\U{ord(character):08x}" for character in part) + '" }}'


def unescaped(quoted: str) -> str:
    """The text of a Go string in double quotes."""

    def one(found: re.Match[str]) -> str:
        escape = found.group(1)
        if escape[0] in "uU" and len(escape) > 1:
            return chr(int(escape[1:], 16))
        if escape not in _SHORT_ESCAPES:
            raise GoTemplateError(f"unknown escape in a string: \\{escape}")
        return _SHORT_ESCAPES[escape]

    return _ESCAPE.sub(one, quoted[1:-1])
