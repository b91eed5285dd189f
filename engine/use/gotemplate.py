"""A small interpreter for the part of Go's text/template that our Ollama templates use.

It exists so that a template can be proven before it is handed over: what Ollama would render is rendered here and
compared with the tokenizer's chat template, character for character. Semantics follow the documentation of Go's
package text/template; the test suite compares this interpreter with the real one where `go` is installed.

Known: text, trim markers, `range .Field`, `if`/`else if`/`else`/`end`, `$v := x`, `$v = x`, `.Field`, `$v`,
string literals, and the functions eq, ne, and, or, not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|:=|=|[()]|\$?\.?[A-Za-z_][A-Za-z0-9_.]*|\$\.[A-Za-z0-9_.]+|\$[A-Za-z0-9_]*|\.')
_WHITESPACE = " \t\r\n"


class GoTemplateError(ValueError):
    """The template uses something that this interpreter does not know, or is malformed."""


@dataclass(frozen=True)
class _Text:
    text: str


@dataclass(frozen=True)
class _Action:
    words: tuple[str, ...]


@dataclass(frozen=True)
class _If:
    branches: tuple[tuple[tuple[str, ...], tuple[_Node, ...]], ...]
    otherwise: tuple[_Node, ...]


@dataclass(frozen=True)
class _Range:
    words: tuple[str, ...]
    body: tuple[_Node, ...]


_Node = _Text | _Action | _If | _Range


@dataclass
class _Scope:
    """Variables of one run. Go scopes them by block; our templates define them once, at the top."""

    root: Mapping[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render `template` with `values` (keys as Go sees them: Messages, System, ...).

    Raises GoTemplateError for a template outside the known part of the language.
    """
    pieces = list(_pieces(template))
    nodes, rest = _parse(pieces, 0, top=True)
    if rest != len(pieces):
        raise GoTemplateError("the template has an end too many")
    return "".join(_run(nodes, values, _Scope(values)))


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


_ESCAPE = re.compile(r"\\(U[0-9a-fA-F]{8}|u[0-9a-fA-F]{4}|.)")
_SHORT_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def _unescaped(quoted: str) -> str:
    """The text of a Go string in double quotes."""

    def one(found: re.Match[str]) -> str:
        escape = found.group(1)
        if escape[0] in "uU" and len(escape) > 1:
            return chr(int(escape[1:], 16))
        if escape not in _SHORT_ESCAPES:
            raise GoTemplateError(f"unknown escape in a string: \\{escape}")
        return _SHORT_ESCAPES[escape]

    return _ESCAPE.sub(one, quoted[1:-1])


def _pieces(template: str) -> Iterator[str | tuple[str, ...]]:
    """Text and actions in order, trim markers already applied."""
    position, trim_left = 0, False
    for found in _ACTION.finditer(template):
        text = template[position : found.start()]
        yield _trimmed(text, trim_left, found.group(1) is not None)
        yield tuple(_words(found.group(2)))
        position, trim_left = found.end(), found.group(3) is not None
    yield _trimmed(template[position:], trim_left, False)


def _trimmed(text: str, left: bool, right: bool) -> str:
    text = text.lstrip(_WHITESPACE) if left else text
    return text.rstrip(_WHITESPACE) if right else text


def _words(source: str) -> list[str]:
    words = _WORD.findall(source)
    if re.sub(r"\s", "", "".join(words)) != re.sub(r"\s", "", source):
        raise GoTemplateError(f"not understood: {source.strip()}")
    return words


def _parse(pieces: Sequence[str | tuple[str, ...]], at: int, top: bool = False) -> tuple[tuple[_Node, ...], int]:
    """Nodes from piece `at` up to the next `else` or `end` of this block, and where that stands."""
    nodes: list[_Node] = []
    while at < len(pieces):
        piece = pieces[at]
        if isinstance(piece, str):
            nodes.append(_Text(piece))
            at += 1
        elif piece[:1] in {("else",), ("end",)}:
            return tuple(nodes), at
        elif piece[:1] == ("if",):
            node, at = _parse_if(pieces, at)
            nodes.append(node)
        elif piece[:1] == ("range",):
            body, end = _parse(pieces, at + 1)
            _expect_end(pieces, end)
            nodes.append(_Range(piece[1:], body))
            at = end + 1
        else:
            nodes.append(_Action(piece))
            at += 1
    if not top:
        raise GoTemplateError("an if or range has no end")
    return tuple(nodes), at


def _parse_if(pieces: Sequence[str | tuple[str, ...]], at: int) -> tuple[_If, int]:
    branches: list[tuple[tuple[str, ...], tuple[_Node, ...]]] = []
    condition = tuple(pieces[at][1:])
    while True:
        body, at = _parse(pieces, at + 1)
        branches.append((condition, body))
        if pieces[at] == ("end",):
            return _If(tuple(branches), ()), at + 1
        if pieces[at] == ("else",):
            otherwise, at = _parse(pieces, at + 1)
            _expect_end(pieces, at)
            return _If(tuple(branches), otherwise), at + 1
        condition = tuple(pieces[at][2:])


def _expect_end(pieces: Sequence[str | tuple[str, ...]], at: int) -> None:
    if pieces[at] != ("end",):
        raise GoTemplateError("expected end")


def _run(nodes: Sequence[_Node], dot: Any, scope: _Scope) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, _Text):
            yield node.text
        elif isinstance(node, _Range):
            for item in _value(node.words, dot, scope) or ():
                yield from _run(node.body, item, scope)
        elif isinstance(node, _If):
            body = next((body for condition, body in node.branches if _value(condition, dot, scope)), node.otherwise)
            yield from _run(body, dot, scope)
        elif node.words[1:2] in {(":=",), ("=",)}:
            scope.variables[node.words[0]] = _value(node.words[2:], dot, scope)
        else:
            yield str(_value(node.words, dot, scope))


def _value(words: Sequence[str], dot: Any, scope: _Scope) -> Any:
    """A pipeline without pipes: one operand, or a function with operands."""
    if not words:
        raise GoTemplateError("an action is empty")
    operands, at = [], 0
    function = words[0] if words[0] in _FUNCTIONS else ""
    at = 1 if function else 0
    while at < len(words):
        operand, at = _operand(words, at, dot, scope)
        operands.append(operand)
    if function:
        return _FUNCTIONS[function](operands)
    if len(operands) != 1:
        raise GoTemplateError(f"not understood: {' '.join(words)}")
    return operands[0]


def _operand(words: Sequence[str], at: int, dot: Any, scope: _Scope) -> tuple[Any, int]:
    word = words[at]
    if word == "(":
        depth, end = 1, at + 1
        while depth and end < len(words):
            depth += {"(": 1, ")": -1}.get(words[end], 0)
            end += 1
        return _value(words[at + 1 : end - 1], dot, scope), end
    if word.startswith('"'):
        return _unescaped(word), at + 1
    if word.startswith("$"):
        name, _, path = word.partition(".")
        start = scope.root if name == "$" else scope.variables[name]
        return _field(start, path), at + 1
    if word.startswith("."):
        return _field(dot, word[1:]), at + 1
    raise GoTemplateError(f"not understood: {word}")


def _field(value: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        value = value.get(name, "")
    return value


_FUNCTIONS: dict[str, Any] = {
    "eq": lambda operands: operands[0] in operands[1:],
    "ne": lambda operands: operands[0] != operands[1],
    "and": lambda operands: next((value for value in operands if not value), operands[-1]),
    "or": lambda operands: next((value for value in operands if value), operands[-1]),
    "not": lambda operands: not operands[0],
}
