"""Writing text with a model: token by token for a person who watches, in batches for an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

import torch

_P = ParamSpec("_P")
_R = TypeVar("_R")


def without_gradients(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`torch.inference_mode()` as a decorator that keeps the types."""
    return cast("Callable[_P, _R]", torch.inference_mode()(function))


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Temperature 0 takes the likeliest one every time."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int = 0


class Writer:
    """One answer being written. Each `step` adds one token; the model's memory of the text is kept between steps."""

    def __init__(self, prompt_ids: Sequence[int], sampling: Sampling, stop_ids: Sequence[int], limit: int) -> None:
        self.ids: list[int] = []
        self.finish = ""
        self._sampling = sampling
        self._stop_ids = frozenset(stop_ids)
        self._next_input = list(prompt_ids)
        self._room = min(sampling.max_tokens, limit - len(prompt_ids))
        self._cache: Any = None
        self._random: torch.Generator | None = None

    @property
    def done(self) -> bool:
        return bool(self.finish)

    @without_gradients
    def step(self, model: Any) -> int | None:
        """Add one token and return it, or None when the answer has ended (`finish` is "stop" or "length")."""
        if self._room <= len(self.ids):
            self.finish = "length"
            return None
        ids = torch.tensor([self._next_input], device=model.device)
        output = model(input_ids=ids, past_key_values=self._cache, use_cache=True)
        self._cache = output.past_key_values
        token = self._choose(output.logits[0, -1].float())
        if token in self._stop_ids:
            self.finish = "stop"
            return None
        self.ids.append(token)
        self._next_input = [token]
        return token

    def _choose(self, logits: torch.Tensor) -> int:
        if self._sampling.temperature <= 0:
            return int(logits.argmax())
        if self._random is None:
            self._random = torch.Generator(device=logits.device).manual_seed(self._sampling.seed)
        chances = torch.softmax(logits / self._sampling.temperature, dim=-1)
        ordered, order = chances.sort(descending=True)
        before = ordered.cumsum(-1) - ordered
        kept = torch.where(before < self._sampling.top_p, ordered, torch.zeros_like(ordered))
        kept[0] = ordered[0]
        return int(order[torch.multinomial(kept, 1, generator=self._random)])


class TextStream:
    """Turns tokens into pieces of text; a piece is held back while it ends inside a character of several bytes."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self.text = ""

    def add(self, token: int) -> str:
        """The new text that `token` completes; empty while it completes none."""
        self._ids.append(token)
        whole = self._decode(self._ids)
        if whole.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        new = whole[len(self.text) :]
        self.text = whole
        return new

    def rest(self) -> str:
        """What was held back to the end."""
        whole = self._decode(self._ids) if self._ids else ""
        new, self.text = whole[len(self.text) :], whole
        return new


@without_gradients
def answer_greedily(
    model: Any,
    prompts: Sequence[Sequence[int]],
    stop_ids: Sequence[int],
    pad_id: int,
    max_tokens: int,
    batch_size: int = 16,
) -> Iterator[tuple[int, list[int]]]:
    """Greedy answers, (index of the prompt, tokens without the stop token) each, longest prompts first.

    Prompts are padded on the left, so that every answer starts at the same place and a batch is one generation.
    """
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        width = max(len(prompts[index]) for index in batch)
        rows = [[pad_id] * (width - len(prompts[index])) + list(prompts[index]) for index in batch]
        mask = [[0] * (width - len(prompts[index])) + [1] * len(prompts[index]) for index in batch]
        output = model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_tokens,
            eos_token_id=list(stop_ids) or None,
            pad_token_id=pad_id,
            temperature=None,
            top_p=None,
            top_k=None,
        )
        for index, row in zip(batch, output[:, width:].tolist(), strict=True):
            yield index, until_stop(row, stop_ids)


def until_stop(ids: Sequence[int], stop_ids: Sequence[int]) -> list[int]:
    """The tokens before the first stop token."""
    end = next((place for place, token in enumerate(ids) if token in stop_ids), len(ids))
    return list(ids[:end])


@without_gradients
def all_logits(model: Any, ids: Sequence[int], inside: AbstractContextManager[Any] | None = None) -> torch.Tensor:
    """Logits at every position of `ids`, float32 on the CPU, shape [tokens, vocabulary]."""
    tensor = torch.tensor([list(ids)], device=model.device)
    if inside is None:
        return _logits(model, tensor)
    with inside:
        return _logits(model, tensor)


def _logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0]
    return logits.float().cpu()
