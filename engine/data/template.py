"""A chat template, compiled and rendered exactly as transformers does it, without transformers.

The environment, the filters and the tracking of `{% generation %}` follow transformers 5
(`transformers/utils/chat_template_utils.py`), so that text and token ids are the same on both sides.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_REASONING = ("reasoning_content", "thinking", "reasoning")
_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")


class TemplateFault(Exception):
    """A template that does not compile, refuses the turns, or fails; `str()` is what it said."""


class _Generation(jinja2.ext.Extension):
    """`{% generation %}`: notes where an answer stands in the rendered text."""

    tags = {"generation"}  # noqa: RUF012

    def __init__(self, environment: jinja2.Environment) -> None:
        super().__init__(environment)
        self.written: list[str] = []
        self.marks: list[tuple[int, int]] = []
        environment.extend(generation=self)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        text = caller()
        start = sum(map(len, self.written))
        self.marks.append((start, start + len(text)))
        return text


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateError(message)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class _Dict:
    """`dict(...)` in a template, without a way to the class behind it."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args, **kwargs)


class _Namespace(jinja2.utils.Namespace):
    """`namespace(...)` in a template; names with a leading underscore are refused."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # noqa: N805 - so that `namespace(self=...)` works
        self, *rest = args
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"A template may not store the name {name!r} in a namespace.")


def _environment(today: datetime.datetime | None) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: (today or datetime.datetime.now()).strftime(form)
    environment.globals["dict"] = _Dict()
    environment.globals["namespace"] = _Namespace
    return environment


class ChatTemplate:
    """One compiled template with the special tokens it may write. `today` fixes the date it may ask for."""

    def __init__(self, source: str, specials: Mapping[str, str], today: datetime.datetime | None = None) -> None:
        """Raises TemplateFault when the source does not compile."""
        self.source = source
        self.specials = dict(specials)
        self.has_marks = bool(_MARK.search(source))
        environment = _environment(today)
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise TemplateFault(f"The template does not compile: {error}") from None
        self._tracker: _Generation = environment.generation  # type: ignore[attr-defined]

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Any] | None = None,
        add_generation_prompt: bool = False,
    ) -> tuple[str, list[tuple[int, int]]]:
        """The text of a conversation and the character spans that the template marks as answers.

        Raises TemplateFault with the template's own words.
        """
        tracker = self._tracker
        tracker.written, tracker.marks = [], []
        values = {
            "messages": [_with_reasoning(message) for message in messages],
            "tools": list(tools) if tools else None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        try:
            for block in self._template.generate(**{**self.specials, **values}):
                tracker.written.append(block)
            return "".join(tracker.written), list(tracker.marks)
        except MemoryError:
            raise TemplateFault("The template used more memory than it may.") from None
        except Exception as error:  # untrusted code: whatever it raises is its answer
            raise TemplateFault(str(error) or type(error).__name__) from None


def _with_reasoning(message: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the names under which templates look for the reasoning from the one that is there."""
    copy = dict(message)
    reasoning = next((copy[name] for name in _REASONING if copy.get(name) is not None), None)
    return copy if reasoning is None else {"thinking": reasoning, **copy, "reasoning_content": reasoning}
