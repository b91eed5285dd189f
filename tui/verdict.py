"""How a run is going, in one plain sentence with its reason and what one could do. Pure rules over the history.

The thresholds are this project's own: they were set by looking at recorded runs, are said in the reason, and only ever
advise. Nothing acts on a verdict.
"""

from __future__ import annotations

from math import isnan

from engine.runs.history import History
from tui.charts.decimate import Series
from tui.preference_verdict import judge_preferences
from tui.verdict_words import Verdict

LEAST_STEPS = 10
NOTHING_LEFT = 0.01
"""A loss below this, early in a run, means that the answer is in sight or that nothing counts."""

EARLY_SHARE = 0.2
FLAT_CHANGE = 0.01
FLAT_SHARE = 0.2
FLAT_LEAST_STEPS = 50
RISE = 1.3
"""Smoothed loss over its own lowest value that counts as getting worse."""

EVALUATION_RISE = 1.02
GRADIENT_JUMP = 10.0


def judge(history: History, raw: Series, smooth: Series) -> Verdict:
    """The first rule that applies, the most serious ones first. Costs microseconds, whatever the length of the run."""
    if history.step < LEAST_STEPS or not len(smooth):
        if len(raw.gaps) and not len(raw):
            return _not_a_number(raw)
        return Verdict("Too early to say.", f"A verdict needs {LEAST_STEPS} steps.", "dim")
    compared = judge_preferences(history)
    rules = (_broken, _overfitting, _jumpy) if compared else (_broken, _empty, _rising, _overfitting, _jumpy, _flat)
    for rule in rules:
        verdict = rule(history, raw, smooth)
        if verdict is not None:
            return verdict
    return compared or _falling(smooth)


def _broken(history: History, raw: Series, smooth: Series) -> Verdict | None:
    """The loss is not a number now."""
    return _not_a_number(raw) if len(raw.gaps) and raw.gaps[-1] >= raw.xs[-1] else None


def _not_a_number(raw: Series) -> Verdict:
    since = next((gap for gap in raw.gaps if not len(raw) or gap > raw.xs[-1]), raw.gaps[0])
    return Verdict(
        f"Broken: the loss is not a number since step {since:.0f}.",
        "An infinite or undefined loss cannot be learned from.",
        "bad",
        "Stop it and start again from the last checkpoint with half the learning rate.",
    )


def _empty(history: History, raw: Series, smooth: Series) -> Verdict | None:
    """Almost no loss in the first part of a run: nothing is being taught."""
    if history.total_steps and history.step > max(50, EARLY_SHARE * history.total_steps):
        return None
    if raw.extent(0, len(raw))[1] == 0.0:
        return Verdict(
            "Nothing is learned: the loss is exactly 0.",
            "No token of any row counts, so the answers look masked.",
            "bad",
            "Check the columns and the format of the data.",
        )
    if smooth.ys[-1] >= NOTHING_LEFT:
        return None
    return Verdict(
        f"Suspicious: the loss is already {smooth.ys[-1]:.2g}.",
        "So little this early means that the answer stands in the prompt or that the rows repeat.",
        "warn",
        "Check in the data preview what the model is asked and what it must answer.",
    )


def _rising(history: History, raw: Series, smooth: Series) -> Verdict | None:
    """The smoothed loss stands clearly above its lowest."""
    lowest, _ = smooth.extent(0, len(smooth))
    now = smooth.ys[-1]
    if now <= lowest * RISE or now <= lowest + 0.05:
        return None
    step = smooth.xs[smooth.ys.index(lowest)]
    return Verdict(
        f"Getting worse since step {step:.0f}.",
        f"The smoothed loss rose from {lowest:.3g} to {now:.3g}.",
        "warn",
        "If it does not turn back, stop and try half the learning rate.",
    )


def _overfitting(history: History, raw: Series, smooth: Series) -> Verdict | None:
    """The held-out loss rises, two evaluations in a row, while the training loss does not."""
    values, steps = history.evals.values, history.evals.steps
    if len(values) < 3 or any(isnan(value) for value in values):
        return None
    best = min(range(len(values)), key=values.__getitem__)
    if len(values) - 1 - best < 2 or values[-1] < values[best] * EVALUATION_RISE:
        return None
    return Verdict(
        f"Evaluation rising since step {steps[best]:.0f}: likely overfitting.",
        f"Held-out loss {values[best]:.3g} then, {values[-1]:.3g} now, while the training loss is {smooth.ys[-1]:.3g}.",
        "warn",
        f"The checkpoint nearest to step {steps[best]:.0f} is likely the best. Fewer epochs or more data help.",
    )


def _jumpy(history: History, raw: Series, smooth: Series) -> Verdict | None:
    """The newest gradient is many times larger than usual."""
    norms = history.curves["grad_norm"].values[-50:]
    if len(norms) < 20:
        return None
    usual = sorted(norms)[len(norms) // 2]
    if not usual or not norms[-1] > GRADIENT_JUMP * usual:
        return None
    return Verdict(
        f"A jump: the gradient is {norms[-1] / usual:.0f} times its usual size.",
        "Single jumps are cut by gradient clipping and do no harm.",
        "warn",
        "If they come often, look at the rows around this step.",
    )


def _flat(history: History, raw: Series, smooth: Series) -> Verdict | None:
    """The smoothed loss has hardly moved for a good part of the run."""
    span = max(FLAT_LEAST_STEPS, FLAT_SHARE * history.step)
    if history.step < 2 * span:
        return None
    start = smooth.nearest(smooth.xs[-1] - span)
    assert start is not None
    low, high = smooth.extent(start, len(smooth))
    if high - low > max(FLAT_CHANGE * high, 1e-4):
        return None
    return Verdict(
        f"Flat for {smooth.xs[-1] - smooth.xs[start]:.0f} steps.",
        f"The smoothed loss stays between {low:.3g} and {high:.3g}.",
        "dim",
        "It may have learned what it can; the held-out loss tells whether to go on.",
    )


def _falling(smooth: Series) -> Verdict:
    first, now = smooth.ys[0], smooth.ys[-1]
    if now < first:
        return Verdict("Falling normally.", f"Loss {first:.3g} at the start, {now:.3g} now.", "good")
    return Verdict("Steady.", f"Loss {first:.3g} at the start, {now:.3g} now.", "dim")
