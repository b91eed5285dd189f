"""Several runs over each other: their smoothed losses on one axis, and where their recipes differ."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import isfinite
from typing import Literal

from engine.errors import UserError
from engine.recipe import Recipe
from engine.runs.history import History
from engine.runs.store import Run
from tui.charts.decimate import Series, Smoother, smoothing_weight
from tui.charts.legend import digits
from tui.steps.words import shown
from tui.text import one_line
from tui.watch.feed import Feed

By = Literal["steps", "tokens", "minutes"]
AXES: tuple[By, ...] = ("steps", "tokens", "minutes")
NOT_COMPARED = ("run.name", "run.directory")


@dataclass
class Compared:
    """One run of a comparison. `recipe` is None where it cannot be read."""

    run: Run
    feed: Feed
    recipe: Recipe | None = None
    curves: dict[By, Series] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> Compared:
        """Open a run; its events are read by `Feed.poll`."""
        try:
            recipe = run.recipe()
        except UserError:
            recipe = None
        return cls(run, Feed(run), recipe)

    def build(self) -> None:
        """Make the curves of what has been read."""
        history = self.feed.history
        smooth = smoothed(history)
        for by in AXES:
            series = Series(self.run.name)
            series.extend(axis_values(history, by), smooth)
            self.curves[by] = series


def smoothed(history: History) -> list[float]:
    """The loss of each step, averaged as on the page of the run."""
    smoother = Smoother(smoothing_weight(history.total_steps))
    return [smoother.add(value) if isfinite(value) else value for value in history.loss.values]


def axis_values(history: History, by: By) -> Sequence[float]:
    """For each step its number, the tokens trained up to it, or the minutes that all steps up to it took."""
    steps = history.loss.steps
    if by == "steps":
        return steps
    seconds = history.curves["seconds"].values
    if by == "minutes":
        values = accumulate(value / 60 if isfinite(value) else 0.0 for value in seconds)
    else:
        paces = history.curves["tokens_per_second"].values
        both = zip(paces, seconds, strict=False)
        values = accumulate(pace * spent if isfinite(pace * spent) else 0.0 for pace, spent in both)
    found = array("d", values)
    return found if len(found) == len(steps) else steps


def differences(compared: Sequence[Compared]) -> list[tuple[str, list[str]]]:
    """(key, value in each run) for every recipe key that is not the same in all of them."""
    recipes = [one.recipe for one in compared]
    keys = sorted({key for recipe in recipes if recipe is not None for key in recipe.answers})
    rows = []
    for key in keys:
        values = [_value(recipe, key) for recipe in recipes]
        if len(set(values)) > 1 and key not in NOT_COMPARED:
            rows.append((key, values))
    return rows


def _value(recipe: Recipe | None, key: str) -> str:
    if recipe is None:
        return "unreadable"
    return one_line(shown(recipe.answers[key].value), 60) if key in recipe.answers else "not set"


def outcome(one: Compared) -> list[str]:
    """What a run came to: its state, smoothed loss, best held-out loss, and steps."""
    history, curve = one.feed.history, one.curves["steps"]
    ended = str((history.ended or {}).get("reason") or "not ended")
    finite = [value for value in history.evals.values if isfinite(value)]
    loss = digits(curve.ys[-1]) if len(curve) else "none"
    return [ended, loss, digits(min(finite)) if finite else "none", f"{history.step:,}"]


OUTCOMES = ("state", "loss (smoothed)", "best held-out loss", "steps")
