"""The trained way of asking: the saved template, its tokens and its stop tokens, for all that comes after training."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.data.examples import Turn
from engine.data.render import Renderer
from engine.data.tokenizer import ModelTokenizer
from engine.errors import UserError
from engine.use.finished import Result, Template


class Prompts:
    """Renders conversations exactly as in training. Built from the files that were saved with the result.

    `more_stop_ids` are tokens at which the base model ends as well, by its generation settings.
    """

    def __init__(self, folder: Path, template: Template, more_stop_ids: Sequence[int] = ()) -> None:
        saved = folder / "chat_template.jinja"
        text = saved.read_text(encoding="utf-8") if saved.is_file() else ""
        self.folder = folder
        self._kind = template
        self.renderer = Renderer.load(folder, template, template_text=text)
        self._more_stop_ids = tuple(more_stop_ids)

    @classmethod
    def of(cls, result: Result) -> Prompts:
        """The prompts of a result, with the stop tokens of its base model added. Raises UserError."""
        has_tokenizer = (result.base / "tokenizer.json").is_file()
        more = ModelTokenizer.load(result.base).end_ids if has_tokenizer else ()
        return cls(result.tokenizer, result.template, more)

    def text(self, turns: Sequence[tuple[str, str]]) -> str:
        """The conversation up to where the assistant answers. Raises UserError when the template refuses it."""
        return self.renderer.prompt([Turn(role, content) for role, content in turns])

    def ids(self, turns: Sequence[tuple[str, str]]) -> list[int]:
        """The same as token ids."""
        return list(self.renderer.encode(self.text(turns)))

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids as text, special tokens left out."""
        return self.renderer.decode(list(ids))

    @property
    def template_text(self) -> str:
        """The Jinja source that was trained with."""
        return self.renderer.template_text

    @property
    def stop_ids(self) -> list[int]:
        """The tokens that end an answer."""
        return list(dict.fromkeys([*self.renderer.stop_token_ids, *self._more_stop_ids]))

    @property
    def stop_texts(self) -> list[str]:
        """The same as text, as other programs want them."""
        return [self.token_text(token) for token in self.stop_ids]

    @property
    def pad_id(self) -> int:
        """A token to fill rows of a batch with; it is masked, so any will do."""
        tokenizer = self.renderer.tokenizer
        token = tokenizer.core.token_to_id(tokenizer.specials.get("pad_token") or tokenizer.eos_token)
        return int(token or 0)

    @property
    def begin_text(self) -> str:
        """The text of the token that begins a sequence; empty when the tokenizer has none."""
        return str(self.renderer.tokenizer.specials.get("bos_token", ""))

    @property
    def begins(self) -> bool:
        """True when the trained prompts begin with that token."""
        begin = self.begin_text
        return bool(begin) and self.text([("user", "x")]).startswith(begin)

    def token_text(self, token: int) -> str:
        """One token as text, special or not."""
        return self.renderer.tokenizer.decode([token], with_specials=True)

    def writes_date(self) -> bool:
        """True when the template puts the date of the day into a prompt."""
        days = [datetime.datetime(2001, 2, 3, 4, 5), datetime.datetime(2033, 11, 22, 13, 14)]
        texts = set()
        for day in days:
            source = self.renderer.template_text
            with Renderer.load(self.folder, self._kind, template_text=source, today=day) as renderer:
                texts.add(renderer.prompt([Turn("user", "x")]))
        return len(texts) > 1


def turns_of(request: dict[str, Any]) -> list[tuple[str, str]]:
    """The conversation in a request: `turns` (role and content each), or `prompt` with an optional `system`.

    Raises UserError when it has neither or is not a conversation that ends with a question.
    """
    turns = request.get("turns")
    if turns is None and isinstance(request.get("prompt"), str):
        turns = [{"role": "user", "content": request["prompt"]}]
    try:
        pairs = [(str(turn["role"]), str(turn["content"])) for turn in turns or []]
    except (TypeError, KeyError) as error:
        raise UserError("A turn needs a role and a content.", "turns", "Give them as text.") from error
    if isinstance(request.get("system"), str) and request["system"]:
        pairs.insert(0, ("system", request["system"]))
    if not pairs or pairs[-1][0] == "assistant":
        raise UserError("There is nothing to answer.", "turns", "End the conversation with a question.")
    return pairs
