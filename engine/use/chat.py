"""Talking to base and tuned model side by side: one loaded pair of models that answers conversations."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.use.classifier import refuse_text
from engine.use.finished import open_result
from engine.use.generate import Sampling, TextStream, Writer
from engine.use.load import SIDES, Pair, Side
from engine.use.prompts import Prompts, turns_of

OnText = Callable[[Side, str], None]

MAX_TOKENS_LIMIT = 32_768
"""Longer answers than this are a mistake in the request."""


class Chat:
    """One result, loaded, ready to answer."""

    def __init__(self, run_directory: Path | str, checkpoint: str = "", device: str | None = None) -> None:
        self.result = open_result(run_directory, checkpoint)
        refuse_text(self.result)
        self.prompts = Prompts.of(self.result)
        self.pair = Pair(self.result, device)

    def describe(self) -> dict[str, Any]:
        """What was loaded, in the words of the job's "ready" message."""
        return {
            "run": self.result.run.name,
            "method": self.result.method,
            "base": self.result.base_source,
            "device": self.pair.device,
            "one_model": self.pair.shares_one_model,
            "context_tokens": self.pair.context_tokens(),
            "template": self.result.template,
            "stops": [self.prompts.token_text(token) for token in self.prompts.stop_ids],
        }

    def answer(
        self,
        turns: Mapping[Side, Sequence[tuple[str, str]]],
        sampling: Sampling,
        on_text: OnText,
        stopped: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Answer with every side in `turns`, one token each in turn, so that both are seen to grow.

        Returns {"base": text, "tuned": text, "finish": {side: "stop"|"length"|"stopped"}, "tokens": {side: count},
        "seconds": {side: float}} for the sides asked. Raises UserError when a prompt does not fit.
        """
        writers = {side: self._writer(conversation, sampling) for side, conversation in turns.items()}
        streams = {side: TextStream(self.prompts.decode) for side in writers}
        seconds = dict.fromkeys(writers, 0.0)
        while not all(writer.done for writer in writers.values()):
            for side, writer in writers.items():
                if stopped() and not writer.done:
                    writer.finish = "stopped"
                if writer.done:
                    continue
                started = time.monotonic()
                with self.pair.switched(side) as model:
                    token = writer.step(model)
                seconds[side] += time.monotonic() - started
                text = streams[side].rest() if token is None else streams[side].add(token)
                if text:
                    on_text(side, text)
        for side, stream in streams.items():
            if rest := stream.rest():
                on_text(side, rest)
        return {
            **{side: stream.text for side, stream in streams.items()},
            "finish": {side: writer.finish for side, writer in writers.items()},
            "tokens": {side: len(writer.ids) for side, writer in writers.items()},
            "seconds": {side: round(value, 3) for side, value in seconds.items()},
        }

    def _writer(self, turns: Sequence[tuple[str, str]], sampling: Sampling) -> Writer:
        ids = self.prompts.ids(turns)
        limit = self.pair.context_tokens()
        if len(ids) >= limit:
            what = f"The conversation has {len(ids)} tokens and the model takes {limit}."
            raise UserError(what, "prompt", "Shorten it, or start a new conversation.")
        return Writer(ids, sampling, self.prompts.stop_ids, limit)


def sampling_of(request: Mapping[str, Any]) -> Sampling:
    """The sampling settings in a request; greedy by default. Raises UserError for a value out of range."""
    seed = request.get("seed")
    return Sampling(
        temperature=_number(request, "temperature", 0.0, 0.0, 5.0),
        top_p=_number(request, "top_p", 1.0, 0.0, 1.0),
        max_tokens=int(_number(request, "max_tokens", 512, 1, MAX_TOKENS_LIMIT)),
        seed=random.SystemRandom().randrange(2**31) if seed is None else int(_number(request, "seed", 0, 0, 2**63 - 1)),
    )


def _number(request: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = request.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UserError(f"{name} is {value!r}.", name, f"Give a number from {low:g} to {high:g}.")
    return value


def sides_of(request: Mapping[str, Any], known: Sequence[Side] = SIDES) -> list[Side]:
    """Who is asked: `which` is base, tuned, both, the name of an added adapter, or a list of names."""
    which = request.get("which", "both")
    wanted = list(SIDES) if which == "both" else which if isinstance(which, list) else [which]
    if not wanted or any(side not in known for side in wanted):
        raise UserError(f"which is {which!r}.", "which", f"Use both, or one or more of: {', '.join(known)}.")
    return list(dict.fromkeys(wanted))


def ask(
    chat: Chat, request: Mapping[str, Any], on_text: OnText, stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Answer one request (the fields of a chat line). `base_turns` may give the base its own conversation.

    `side_turns` may give anybody one: name -> turns.
    """
    sides = sides_of(request, chat.pair.sides)
    own = turns_of(dict(request))
    turns: dict[Side, Sequence[tuple[str, str]]] = dict.fromkeys(sides, own)
    if "base" in sides and request.get("base_turns") is not None:
        turns["base"] = turns_of({**request, "turns": request["base_turns"]})
    for side, said in (request.get("side_turns") or {}).items():
        if side in sides:
            turns[side] = turns_of({**request, "turns": said})
    return chat.answer(turns, sampling_of(request), on_text, stopped)
