"""Which backend trains: plain TRL, or Unsloth where plain TRL does not fit and Unsloth is known to help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.plan import unsloth
from engine.plan.plan import MethodPlan
from engine.plan.search import Candidate
from engine.plan.situation import Situation
from engine.recipe import Answer
from engine.runs.unsloth_place import make_commands, unsloth_python

KEY = "method.backend"
Found = tuple[Candidate, dict[str, Answer]]


def with_backend(here: Situation, plain: Found, wanted_length: int, again: Callable[[str], Found]) -> Found:
    """The best candidate with its answers, one of them the backend. `plain` is TRL's or the person's own; `again`
    searches with another backend; `wanted_length` is the length that the data asks for."""
    best, answers = plain
    if here.is_set(KEY):
        return best, answers | {KEY: here.pick(KEY, unsloth.answer_plain(here, best.shape))}
    fits, length = best.fit.verdict == "fits", best.shape.sequence_length
    if (fits and length >= wanted_length) or unsloth.why_not(here, best.shape):
        return best, answers | {KEY: _plain(here, best)}
    other, others = again("unsloth")
    if other.fit.verdict != "fits" or (fits and other.shape.sequence_length <= length):
        return best, answers | {KEY: _plain(here, best)}
    trouble = f"Plain TRL fits only {length} tokens." if fits else "Plain TRL does not fit."
    if unsloth_python() is None:
        return best, answers | {KEY: unsloth.answer_to_be_made(other, trouble, make_commands())}
    return other, others | {KEY: unsloth.answer_recommended(here, other, trouble)}


def _plain(here: Situation, best: Candidate) -> Answer:
    answer = unsloth.answer_plain(here, best.shape)
    if best.fit.verdict == "fits":
        return answer
    return replace(answer, reason=answer.reason.replace("Plain TRL fits. ", "Neither backend fits. "))


def leans_on_unsloth(plan: MethodPlan) -> bool:
    """Whether a method is planned with Unsloth since it does not fit otherwise, and not since a person wants it."""
    answer = plan.answers.get(KEY)
    return answer is not None and answer.value == "unsloth" and answer.source != "you"


def backend_sentence(answer: Answer | None) -> str:
    """What the page of methods says of the backend: only what changes the choice."""
    if answer is None or answer.source == "you":
        return ""
    return f" {answer.reason}" if answer.value == "unsloth" or "make its environment" in answer.reason else ""
