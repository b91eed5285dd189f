"""A Go template as a tree: text, actions, if and range."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.use.go_strings import GoTemplateError

_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|:=|=|[()]|\$?\.?[A-Za-z_][A-Za-z0-9_.]*|\$\.[A-Za-z0-9_.]+|\$[A-Za-z0-9_]*|\.')
_WHITESPACE = " \t\r\n"


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Action:
    words: tuple[str, ...]


@dataclass(frozen=True)
class If:
    branches: tuple[tuple[tuple[str, ...], tuple[Node, ...]], ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True)
class Range:
    words: tuple[str, ...]
    body: tuple[Node, ...]


Node = Text | Action | If | Range


def parse(template: str) -> tuple[Node, ...]:
    """The nodes of a template. Raises GoTemplateError for one that is malformed or uses what is not known here."""
    pieces = list(_pieces(template))
    nodes, rest = _parse(pieces, 0, top=True)
    if rest != len(pieces):
        raise GoTemplateError("the template has an end too many")
    return nodes


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


def _parse(pieces: Sequence[str | tuple[str, ...]], at: int, top: bool = False) -> tuple[tuple[Node, ...], int]:
    """Nodes from piece `at` up to the next `else` or `end` of this block, and where that stands."""
    nodes: list[Node] = []
    while at < len(pieces):
        piece = pieces[at]
        if isinstance(piece, str):
            nodes.append(Text(piece))
            at += 1
        elif piece[:1] in {("else",), ("end",)}:
            return tuple(nodes), at
        elif piece[:1] == ("if",):
            node, at = _parse_if(pieces, at)
            nodes.append(node)
        elif piece[:1] == ("range",):
            body, end = _parse(pieces, at + 1)
            _expect_end(pieces, end)
            nodes.append(Range(piece[1:], body))
            at = end + 1
        else:
            nodes.append(Action(piece))
            at += 1
    if not top:
        raise GoTemplateError("an if or range has no end")
    return tuple(nodes), at


def _parse_if(pieces: Sequence[str | tuple[str, ...]], at: int) -> tuple[If, int]:
    branches: list[tuple[tuple[str, ...], tuple[Node, ...]]] = []
    condition = tuple(pieces[at][1:])
    while True:
        body, at = _parse(pieces, at + 1)
        branches.append((condition, body))
        if pieces[at] == ("end",):
            return If(tuple(branches), ()), at + 1
        if pieces[at] == ("else",):
            otherwise, at = _parse(pieces, at + 1)
            _expect_end(pieces, at)
            return If(tuple(branches), otherwise), at + 1
        condition = tuple(pieces[at][2:])


def _expect_end(pieces: Sequence[str | tuple[str, ...]], at: int) -> None:
    if pieces[at] != ("end",):
        raise GoTemplateError("expected end")
