"""One conversation to render by a chat template, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.data.spans import Span, SpanFinder
from engine.data.template import TemplateFault


@dataclass(frozen=True)
class Request:
    """One conversation to render: with spans of the `answers` (indexes), or as a prompt when `answers` is None."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Any] | None = None
    answers: Sequence[int] | None = None

    def line(self) -> str:
        """The request as JSON."""
        return json.dumps([list(self.messages), self.tools, self.answers], ensure_ascii=True)


@dataclass(frozen=True)
class Rendering:
    """The text and the spans of the answers; `fault` says why there are none."""

    text: str = ""
    spans: tuple[Span, ...] = ()
    fault: str = ""


def render_request(finder: SpanFinder, request: Request) -> Rendering:
    """Render in this process. Faults of the template become `Rendering.fault`."""
    try:
        if request.answers is None:
            text, _ = finder.template.render(request.messages, request.tools, add_generation_prompt=True)
            return Rendering(text)
        text, spans = finder.render(request.messages, request.tools, request.answers)
        return Rendering(text, tuple(spans))
    except TemplateFault as fault:
        return Rendering(fault=str(fault)[:500] or "The template failed without a reason.")
