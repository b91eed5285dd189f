"""How learning from preferences is going, in one sentence. Pure rules over the history, like `tui.verdict`.

A margin is by how much more the chosen answers became likelier than the rejected ones since the start, times beta.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from engine.runs.history import History
from tui.verdict_words import Verdict

WINDOW = 20
"""Steps that are averaged: single steps hold only a few pairs."""
SURE = 0.98
EARLY_SHARE = 0.2
LEAST_STEPS = 50
FALLEN = -2.0
"""A mean reward of chosen answers below this: with beta 0.1 they are e^-20 times as likely as at the start."""


def judge_preferences(history: History) -> Verdict | None:
    """The first rule that applies; None for a run that compares no answers."""
    margins = _finite(history.curves["margin"].values)
    if not margins:
        return None
    first, now = _mean(margins[:WINDOW]), _mean(margins[-WINDOW:])
    return (
        _told_apart_at_once(history)
        or _both_fall(history)
        or _nothing_preferred(history, now)
        or _rising(history, first, now)
    )


def _told_apart_at_once(history: History) -> Verdict | None:
    """Nearly every pair in order in the first part of a run."""
    right = _finite(history.curves["accuracy"].values)
    if len(right) < WINDOW or history.step > max(LEAST_STEPS, EARLY_SHARE * history.total_steps):
        return None
    share = _mean(right[-WINDOW:])
    if share < SURE:
        return None
    return Verdict(
        f"Suspicious: {share:.0%} of the pairs are in the right order already.",
        "So much this early means that something simple tells them apart, such as their length or a fixed phrase.",
        "warn",
        "Look at some pairs in the data preview.",
    )


def _both_fall(history: History) -> Verdict | None:
    """The chosen answers became much less likely, too: the model drifts away from both."""
    rewards = _finite(history.curves["reward_chosen"].values)
    if len(rewards) < WINDOW or (now := _mean(rewards[-WINDOW:])) > FALLEN:
        return None
    if _mean(rewards[:WINDOW]) < FALLEN:  # ORPO's rewards are log-probabilities, which begin below zero
        return None
    return Verdict(
        "The chosen answers become less likely, too.",
        f"Their reward is {now:.3g}; it was near 0 at the start. The margin grows since rejected ones fall faster.",
        "warn",
        "Stop and try a quarter of the learning rate, or twice the beta.",
    )


def _nothing_preferred(history: History, now: float) -> Verdict | None:
    if history.step < LEAST_STEPS or now > 0:
        return None
    return Verdict(
        "Nothing is preferred yet.",
        f"The margin between good and bad answers is {now:.2g} over the last {WINDOW} steps.",
        "warn",
        "A higher learning rate may help, or the two sides of the data are too much alike.",
    )


def _rising(history: History, first: float, now: float) -> Verdict:
    right = _finite(history.curves["accuracy"].values)
    order = f" {_mean(right[-WINDOW:]):.0%} of the pairs are in the right order." if right else ""
    reason = f"Margin {first:.2g} at the start, {now:.2g} now.{order}"
    if now > first:
        return Verdict("Learning what is preferred.", reason, "good")
    return Verdict("Steady.", reason, "dim")


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if isfinite(value)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
