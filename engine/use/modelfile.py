"""Ollama's Modelfile: written so that Ollama's own reader gives back exactly what was meant.

The reader has sharp edges: text that contains three quotation marks ends early, and characters that Go does not
call printable are dropped in silence. So every file written here is read back by a port of that reader
(ollama/parser/parser.go, version 0.33) and compared before it is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import UserError
from engine.use.go_strings import go_printable

Command = tuple[str, str]
"""Lower-case name ("from", "template", "system", "stop", "num_ctx", ...) and its value."""


@dataclass(frozen=True)
class Modelfile:
    """What a Modelfile says. `template`, `system` and `adapter` (a file) may be empty: then no such line is written."""

    source: str
    template: str = ""
    system: str = ""
    stops: Sequence[str] = ()
    context_tokens: int = 0
    greedy: bool = False
    notes: Sequence[str] = ()
    adapter: str = ""

    def commands(self) -> list[Command]:
        """The commands in the order in which they are written."""
        commands: list[Command] = [("from", self.source)]
        if self.adapter:
            commands.append(("adapter", self.adapter))
        if self.template:
            commands.append(("template", self.template))
        if self.system:
            commands.append(("system", self.system))
        commands += [("stop", stop) for stop in self.stops]
        if self.context_tokens:
            commands.append(("num_ctx", str(self.context_tokens)))
        if self.greedy:
            commands.append(("temperature", "0"))
        return commands

    def dumps(self) -> str:
        """The file. Raises UserError when a text cannot be written so that Ollama reads it back unchanged."""
        commands = self.commands()
        for name, value in commands:
            _refuse_unwritable(name, value)
        lines = [f"# {line}" for note in self.notes for line in note.splitlines()]
        text = "\n".join([*lines, *(_line(name, value) for name, value in commands)]) + "\n"
        if read_modelfile(text) != commands:
            raise UserError("The Modelfile would not be read back as it was meant, so it was not written.", "Modelfile")
        return text


def _line(name: str, value: str) -> str:
    if name in {"from", "adapter"}:
        return f"{name.upper()} {value}"
    if name in {"template", "system"}:
        return f'{name.upper()} """{value}"""'
    return f"PARAMETER {name} {value if value.isdigit() else _quoted(value)}"


def _quoted(value: str) -> str:
    return f'"""{value}"""' if '"' in value or "\n" in value else f'"{value}"'


def _refuse_unwritable(name: str, value: str) -> None:
    title = {"from": "path", "adapter": "path", "stop": "stop text"}.get(name, name)
    if '"""' in value:
        what = f"The {title} contains three quotation marks in a row, which would end it early in a Modelfile."
        raise UserError(what, "Modelfile", "Take them out, or use the export without Ollama.")
    hidden = sorted({character for character in value if not go_printable(character) and character not in "\n\t"})
    if hidden:
        names = ", ".join(f"U+{ord(character):04X}" for character in hidden)
        what = f"The {title} contains characters that Ollama drops in silence when it reads a Modelfile: {names}."
        raise UserError(what, "Modelfile", "Take them out, or use the export without Ollama.")
    if name in {"from", "adapter"} and ("\n" in value or value != value.strip() or value.startswith('"')):
        raise UserError("The path cannot be written into a Modelfile.", value, "Choose another output folder.")


def read_modelfile(text: str) -> list[Command]:
    """Read a Modelfile the way Ollama does. Raises ValueError where Ollama would refuse it."""
    reader = _Reader()
    for character in text:
        reader.take(character)
    return reader.finish()


class _Reader:
    """The state machine of ollama/parser/parser.go; names of states as there."""

    def __init__(self) -> None:
        self.state = "nil"
        self.name = ""
        self.buffer = ""
        self.commands: list[Command] = []

    def take(self, character: str) -> None:
        following, kept = self._next(character)
        if following != self.state:
            if self.state == "value":
                value = _unquoted(self.buffer.strip())
                if value is None or kept in {" ", "\t"}:
                    self.buffer += kept
                    return
                self.commands.append((self.name, value))
            elif self.state == "name":
                self.name = self.buffer.lower()
                following = "parameter" if self.name == "parameter" else following
            elif self.state == "parameter":
                self.name = self.buffer
            self.buffer, self.state = "", following
        if kept and go_printable(kept):
            self.buffer += kept

    def finish(self) -> list[Command]:
        if self.state == "value":
            value = _unquoted(self.buffer.strip())
            if value is None:
                raise ValueError("unexpected end of file")
            self.commands.append((self.name, value))
        elif self.state not in {"nil", "comment"}:
            raise ValueError("unexpected end of file")
        return self.commands

    def _next(self, character: str) -> tuple[str, str]:
        newline, space = character in "\r\n", character in " \t"
        if self.state == "nil":
            return ("comment", "") if character == "#" else ("nil", "") if newline or space else ("name", character)
        if self.state == "comment":
            return ("nil" if newline else "comment", "")
        if self.state == "value":
            return ("nil" if newline or space else "value", character)
        if space:
            return ("value", "")
        more = self.state == "parameter" and (character.isdigit() or character == "_")
        allowed = character.isascii() and (character.isalpha() or more)
        if not allowed:
            raise ValueError(f"unexpected {character!r} in a command")
        return (self.state, character)


def _unquoted(text: str) -> str | None:
    """The value without its quotation marks; None while it is not closed."""
    for mark in ('"""', '"'):
        if text.startswith(mark):
            closed = len(text) >= 2 * len(mark) and text.endswith(mark)
            return text[len(mark) : -len(mark)] if closed else None
    return text
