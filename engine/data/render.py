"""The exact text and tokens that training will see, and which of them are learned."""

from __future__ import annotations

import datetime
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tokenizers import Encoding

from engine.data.examples import Example, RowProblem, Turn
from engine.data.rendered import IGNORED, Rendered, cut_to
from engine.data.spans import SpanFinder
from engine.data.template import ChatTemplate, TemplateFault
from engine.data.template_process import TemplateProcess
from engine.data.template_rendering import Rendering, Request, render_request
from engine.data.tokenizer import ModelTokenizer
from engine.errors import UserError

PLAIN_TEMPLATE = Path(__file__).resolve().parents[2] / "assets" / "templates" / "plain.jinja"
FIXED_DATE = datetime.datetime(2024, 7, 26)
"""The date that templates write which ask for today's: Llama 3's own default where there is no clock. A fixed date
gives a resumed run, an evaluation and a chat the same text as training."""
_TOKENIZED_AT_ONCE = 512


@dataclass
class Renderer:
    """Renders examples for one model. Make it with `load`; close it when it is no longer needed."""

    tokenizer: ModelTokenizer
    kind: Literal["model", "plain"]
    template_text: str
    note: str = ""
    today: datetime.datetime | None = FIXED_DATE
    _stops: tuple[int, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._inside: SpanFinder | None = None
        self._child: TemplateProcess | None = None
        if self.kind == "plain":
            template = ChatTemplate(self.template_text, self.tokenizer.specials, self.today)
            self._inside = SpanFinder(template, self.tokenizer.special_texts)
        else:
            self._child = TemplateProcess(
                self.template_text, self.tokenizer.specials, self.today, self.tokenizer.special_texts
            )

    @classmethod
    def load(
        cls,
        model_directory: Path,
        template: str = "model",
        *,
        template_text: str = "",
        today: datetime.datetime | None = FIXED_DATE,
    ) -> Renderer:
        """The renderer for the model in a folder.

        `template` is "model" (its own chat template; the plain one, with a note, when it has none) or "plain".
        `template_text` is the template that was saved with a result and is used instead of the folder's.
        `today` is the date that a template may write; None is the real one. Raises UserError.
        """
        tokenizer = ModelTokenizer.load(model_directory)
        if not tokenizer.eos_token:
            raise UserError(
                "The tokenizer names no end token, so the model could never learn to stop.",
                str(model_directory / "tokenizer_config.json"),
                "Set eos_token in tokenizer_config.json.",
            )
        own = template_text or tokenizer.chat_template
        if template == "model" and own:
            return cls(tokenizer, "model", own, "", today)
        note = (
            ""
            if template == "plain"
            else "The model has no chat template of its own, so the plain instruct template is used."
        )
        return cls(tokenizer, "plain", template_text or plain_template(tokenizer), note, today)

    def close(self) -> None:
        """End the child that renders the template, if there is one."""
        if self._child is not None:
            self._child.close()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- examples -----------------------------------------------------------------------------------------------

    def render(self, example: Example, sequence_length: int | None = None) -> Rendered:
        """One example. Raises RowProblem when the template refuses it."""
        result = self.render_many([example], sequence_length)[0]
        if isinstance(result, RowProblem):
            raise result
        return result

    def render_many(
        self, examples: Sequence[Example], sequence_length: int | None = None
    ) -> list[Rendered | RowProblem]:
        """Many examples at once, in order; a row that the template refuses gives a RowProblem in its place."""
        results: list[Rendered | RowProblem] = []
        for start in range(0, len(examples), _TOKENIZED_AT_ONCE):
            results += self._render_some(examples[start : start + _TOKENIZED_AT_ONCE], sequence_length)
        return results

    def _render_some(self, examples: Sequence[Example], sequence_length: int | None) -> list[Rendered | RowProblem]:
        renderings = self._texts(examples)
        good = [rendering.text for rendering in renderings if not rendering.fault]
        encodings = iter(self.tokenizer.encode_batch(good))
        results: list[Rendered | RowProblem] = []
        for example, rendering in zip(examples, renderings, strict=True):
            if rendering.fault:
                results.append(RowProblem("template", f"The chat template refuses the row: {rendering.fault}"))
            else:
                results.append(self._labelled(example, rendering, next(encodings), sequence_length))
        return results

    def _texts(self, examples: Sequence[Example]) -> list[Rendering]:
        asked = [_request(example) for example in examples if not example.is_text]
        rendered = iter(self._render_requests(asked))
        return [self._whole_text(example) if example.is_text else next(rendered) for example in examples]

    def _whole_text(self, example: Example) -> Rendering:
        """A text that is learned whole, between the begin token (where the tokenizer writes one) and the end token."""
        begin = self.tokenizer.specials["bos_token"] if self.tokenizer.adds_bos else ""
        text = begin + example.turns[0].content + self.tokenizer.eos_token
        return Rendering(text, ((0, len(text)),))

    def _render_requests(self, requests: Sequence[Request]) -> list[Rendering]:
        if self._inside is not None:
            return [render_request(self._inside, request) for request in requests]
        assert self._child is not None
        try:
            return self._child.render_many(requests)
        except TemplateFault as fault:
            raise UserError(
                f"The model's chat template cannot be used. {fault}",
                str(self.tokenizer.directory),
                "Choose the plain template (data.template = plain).",
            ) from None

    def _labelled(self, example: Example, rendering: Rendering, encoding: Encoding, limit: int | None) -> Rendered:
        ids, offsets = list(encoding.ids), encoding.offsets
        starts = [offset[0] for offset in offsets]
        ends = [offset[1] for offset in offsets]
        labels = [IGNORED] * len(ids)
        spans: list[tuple[int, int]] = []
        merged = False
        for begin, end in rendering.spans:
            first, behind = bisect_left(starts, begin), bisect_right(ends, end)
            merged = merged or (0 < first <= len(ends) and ends[first - 1] > begin)
            labels[first:behind] = ids[first:behind]
            spans.append((begin, end))
        return cut_to(rendering.text, ids, labels, starts, spans, limit, merged, example.row)

    # -- prompts ------------------------------------------------------------------------------------------------

    def prompt(self, turns: Sequence[Turn], tools: Sequence[object] | None = None) -> str:
        """The text up to where the assistant answers. A single turn with the role "text" is text to be continued.

        Raises UserError when the template refuses the turns.
        """
        if len(turns) == 1 and turns[0].role == "text":
            return (self.tokenizer.specials["bos_token"] if self.tokenizer.adds_bos else "") + turns[0].content
        rendering = self._render_requests([Request([turn.message() for turn in turns], tools)])[0]
        if rendering.fault:
            raise UserError(
                f"The chat template refuses these turns: {rendering.fault}",
                "",
                "Ask in another order, or without a system message.",
            )
        return rendering.text

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Ids at which an answer ends: the model's settings name them, or the template writes them."""
        if self._stops is None:
            ids = list(self.tokenizer.end_ids)
            turns = (Turn("user", "a"), Turn("assistant", "b"))
            result = self.render_many([Example(turns, 0)])[0]
            if isinstance(result, Rendered):
                ids += [token for token in self.last_learned(result) if token not in ids]
            self._stops = tuple(ids)
        return self._stops

    def last_learned(self, rendered: Rendered) -> tuple[int, ...]:
        """The special token that ends the last answer (white space aside); nothing when another token does."""
        for token in reversed([label for label in rendered.labels if label != IGNORED]):
            if token in self.tokenizer.special_ids:
                return (token,)
            if self.tokenizer.decode([token]).strip():
                break
        return ()

    def encode(self, text: str) -> list[int]:
        """Ids of a text that already holds its special tokens, as `prompt` gives it."""
        return self.tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids, without special tokens."""
        return self.tokenizer.decode(ids)


def writes_date(renderer: Renderer) -> str:
    """A sentence about the date that the template writes into every row; empty when it asks for none."""
    if "strftime_now" not in renderer.template_text or renderer.today is None:
        return ""
    date = f"{renderer.today:%d %b %Y}"
    return f"The template writes a date; every row gets {date}, so that a resumed run sees the same text."


def plain_template(tokenizer: ModelTokenizer) -> str:
    """The plain instruct template for this tokenizer: with its begin token in front where the tokenizer writes one."""
    text = PLAIN_TEMPLATE.read_text(encoding="utf-8")
    return "{{- bos_token -}}\n" + text if tokenizer.adds_bos else text


def _request(example: Example) -> Request:
    answers = [index for index, turn in enumerate(example.turns) if turn.role == "assistant" and turn.trained]
    return Request([turn.message() for turn in example.turns], example.tools, answers)
