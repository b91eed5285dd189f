"""A small interpreter for the part of Go's text/template that our Ollama templates use.

It exists so that a template can be proven before it is handed over: what Ollama would render is rendered here and
compared with the tokenizer's chat template, character for character. Semantics follow the documentation of Go's
package text/template; the test suite compares this interpreter with the real one where `go` is installed.

Known: text, trim markers, `range .Field`, `if`/`else if`/`else`/`end`, `$v := x`, `$v = x`, `.Field`, `$v`,
string literals, and the functions eq, ne, and, or, not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.use.go_strings import GoTemplateError, unescaped
from engine.use.gotemplate_tree import If, Node, Range, Text, parse


@dataclass
class _Scope:
    """Variables of one run. Go scopes them by block; our templates define them once, at the top."""

    root: Mapping[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render `template` with `values` (keys as Go sees them: Messages, System, ...).

    Raises GoTemplateError for a template outside the known part of the language.
    """
    return "".join(_run(parse(template), values, _Scope(values)))


def _run(nodes: Sequence[Node], dot: Any, scope: _Scope) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Text):
            yield node.text
        elif isinstance(node, Range):
            for item in _value(node.words, dot, scope) or ():
                yield from _run(node.body, item, scope)
        elif isinstance(node, If):
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
        return unescaped(word), at + 1
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
