"""Where the answers stand in a rendered conversation.

A template with `{% generation %}` marks says it itself. For any other template the conversation is rendered up to each
answer: the text up to where the assistant is asked to speak, and the text up to the end of its turn, must both be the
beginning of the whole. Some templates rewrite earlier turns (Qwen 3 drops old reasoning) or close the last turn in
another way than the ones before (Phi 3, gpt-oss). There the answer's end is found by exchanging its content, looking at
what changes, and recognising the end of turn behind it. What cannot be found for certain is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from os.path import commonprefix
from typing import Any

from engine.data.template import ChatTemplate, TemplateFault

Span = tuple[int, int]
_STAND_IN = "\u2042 an answer that stands nowhere else \u2042"


class SpanFinder:
    """Renders conversations of one template. `special_texts` are the special tokens that may end a turn."""

    def __init__(self, template: ChatTemplate, special_texts: Collection[str] = ()) -> None:
        self.template = template
        self.special_texts = sorted(special_texts, key=len, reverse=True)
        self._usual: str | None = None

    def render(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None, answers: Sequence[int]
    ) -> tuple[str, list[Span]]:
        """The whole text, and the span of each answer (`answers` index `messages`), its end of turn included.

        Spans count characters. Raises TemplateFault when the template refuses the turns or an answer cannot be found.
        """
        text, marks = self.template.render(messages, tools)
        if self.template.has_marks:
            return text, _marked(messages, marks, answers)
        spans = [_Answer(self, messages, tools, index, text).span() for index in answers]
        if any(end > start for (_, end), (start, _) in zip(spans, spans[1:], strict=False)):
            raise TemplateFault("The answers cannot be told apart in what the template writes.")
        return text, spans

    def usual_closing(self) -> str:
        """What the template writes behind an answer that ends a conversation; empty when that cannot be seen."""
        if self._usual is None:
            try:
                text, _ = self.template.render(
                    [{"role": "user", "content": "a"}, {"role": "assistant", "content": _STAND_IN}], None
                )
            except TemplateFault:
                text = ""
            self._usual = text.partition(_STAND_IN)[2]
        return self._usual


def _marked(messages: Sequence[Mapping[str, Any]], marks: Sequence[Span], answers: Sequence[int]) -> list[Span]:
    """The marks of the wanted answers. Without one mark per answer, all are taken or none can be left out."""
    every = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if list(answers) == every:
        return list(marks)
    if len(marks) != len(every):
        raise TemplateFault("The template does not mark one answer per assistant turn, so none can be left out.")
    return [marks[every.index(index)] for index in answers]


class _Answer:
    """One assistant turn of one conversation."""

    def __init__(
        self,
        finder: SpanFinder,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Any] | None,
        index: int,
        text: str,
    ) -> None:
        self.finder, self.template = finder, finder.template
        self.messages, self.tools, self.index, self.text = messages, tools, index, text
        self.content = str(messages[index].get("content") or "").strip()

    def span(self) -> Span:
        before, _ = self.template.render(self.messages[: self.index], self.tools, add_generation_prompt=True)
        is_last = self.index == len(self.messages) - 1
        until = self.text if is_last else self.template.render(self.messages[: self.index + 1], self.tools)[0]
        follows = self.text.startswith(before) and len(before) < len(self.text)
        if follows and self.text.startswith(until) and len(until) > len(before):
            return len(before), len(until)
        if not self.content:
            start = len(before) if follows else self._content_place()
            return start, self._first_closing(start)
        start, end = self._changed()
        if self.text[start:end].strip() != self.content:
            raise self._fault()
        start = len(before) if follows and len(before) <= start else start
        return start, len(self.text) if is_last else self._closing_at(end)

    def _fault(self) -> TemplateFault:
        return TemplateFault(
            f"The template rewrites turn {self.index + 1}, so its answer cannot be told from the rest."
        )

    def _with_stand_in(self) -> str:
        """The whole text with another content in this turn."""
        messages = [*self.messages]
        messages[self.index] = {**messages[self.index], "content": _STAND_IN}
        return self.template.render(messages, self.tools)[0]

    def _changed(self) -> Span:
        """The part of the text that changes when the content of this message does."""
        other = self._with_stand_in()
        start = len(commonprefix([self.text, other]))
        shared = len(commonprefix([self.text[start:][::-1], other[start:][::-1]]))
        return start, len(self.text) - shared

    def _content_place(self) -> int:
        """Where the content of a turn without content would stand."""
        other = self._with_stand_in()
        start = len(commonprefix([self.text, other]))
        if not other.startswith(_STAND_IN, start):
            raise self._fault()
        return start

    def _closing_at(self, end: int) -> int:
        """The index behind the end of turn that follows at `end`."""
        closing = self.finder.usual_closing()
        if closing and self.text.startswith(closing, end):
            return end + len(closing)
        at = end + len(self.text[end:]) - len(self.text[end:].lstrip())
        following = str(self.messages[self.index + 1].get("content") or "").strip()
        for special in self.finder.special_texts:
            behind = at + len(special)
            # between an end of turn and the next content stands at least the next role
            if self.text.startswith(special, at) and following and self.text.find(following, behind) > behind:
                return behind
        raise TemplateFault(f"The template closes turn {self.index + 1} in another way than the last one.")

    def _first_closing(self, start: int) -> int:
        """The index behind the first end of turn after `start`, for a turn that has no content to look for."""
        closing = self.finder.usual_closing()
        inside = [special for special in self.finder.special_texts if special in closing]
        wanted = [text for text in (closing, closing.rstrip(), *inside) if text.strip()]
        found = [(self.text.find(text, start), -len(text)) for text in wanted if text in self.text[start:]]
        if not found:
            raise self._fault()
        at, length = min(found)
        return at - length
