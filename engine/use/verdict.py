"""Is the tuned model better, or does it only look so? Differences with intervals, and words for them. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RESAMPLES = 2000
_SEED = 20_260_101
"""Fixed, so that the same answers give the same interval."""


@dataclass(frozen=True)
class Difference:
    """Tuned minus base, paired by row, with a 95 % bootstrap interval; `p` is the exact McNemar test for shares."""

    value: float
    low: float
    high: float
    p: float | None = None

    @property
    def sure(self) -> bool:
        """True when the interval does not hold zero."""
        return self.low > 0 or self.high < 0

    def as_dict(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "p": self.p, "sure": self.sure}


def share_difference(base: Sequence[bool], tuned: Sequence[bool]) -> Difference:
    """Difference of two shares on the same rows. With equal flags everywhere the interval is zero."""
    pairs = [float(b) - float(a) for a, b in zip(base, tuned, strict=True)]
    low, high = _bootstrap([(pair, 1.0) for pair in pairs])
    gained = sum(pair > 0 for pair in pairs)
    lost = sum(pair < 0 for pair in pairs)
    return Difference(_mean(pairs), low, high, mcnemar(gained, lost))


def loss_difference(base: Sequence[float], tuned: Sequence[float], tokens: Sequence[int]) -> Difference:
    """Difference of the mean loss per token; arguments are sums over each row, and the row's trained tokens."""
    rows = [(b - a, float(count)) for a, b, count in zip(base, tuned, tokens, strict=True)]
    low, high = _bootstrap(rows)
    return Difference(_ratio(rows), low, high)


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p-value that as many rows were gained as lost (McNemar 1947, binomial form)."""
    count, extreme = gained + lost, min(gained, lost)
    if count == 0:
        return 1.0
    tail = sum(math.comb(count, k) for k in range(extreme + 1)) / 2**count
    return float(min(1.0, 2 * tail))


def _bootstrap(rows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Percentile interval of sum(values) / sum(weights) over resampled rows (Efron 1979)."""
    if not rows:
        return 0.0, 0.0
    generator = random.Random(_SEED)
    drawn = sorted(_ratio(generator.choices(rows, k=len(rows))) for _ in range(RESAMPLES))
    return drawn[round(0.025 * (RESAMPLES - 1))], drawn[round(0.975 * (RESAMPLES - 1))]


def _ratio(rows: Sequence[tuple[float, float]]) -> float:
    weight = sum(row[1] for row in rows)
    return sum(row[0] for row in rows) / weight if weight else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


_TITLES = {
    "loss": "Loss per token",
    "exact_match": "Exact match",
    "valid": "Valid JSON",
    "accuracy": "Accuracy",
    "syntax": "Valid syntax",
}


def sentences(differences: dict[str, Difference], base: dict[str, Any], tuned: dict[str, Any]) -> list[str]:
    """One sentence for every figure: what it was, what it is, and whether the rows are enough to believe it."""
    made = []
    for name, difference in differences.items():
        lower_is_better = name == "loss"
        before, after = (_number(side[name]) for side in (base, tuned))
        better = (difference.value < 0) == lower_is_better
        word = "better" if better else "worse"
        if not difference.sure:
            word = "no difference that these rows can show"
        low, high = (_signed(value, name) for value in (difference.low, difference.high))
        made.append(f"{_TITLES[name]}: {before} before, {after} after; {word} (95 % interval {low} to {high}).")
    return made


def _number(figure: Any) -> str:
    return f"{100 * figure['value']:.1f} %" if isinstance(figure, dict) else f"{figure:.3f}"


def _signed(value: float, name: str) -> str:
    return f"{value:+.3f}" if name == "loss" else f"{100 * value:+.1f} points"


@dataclass(frozen=True)
class Sameness:
    """Signs that training changed nothing. `largest_weight` is the largest |B| of the adapter, None without one."""

    largest_weight: float | None
    same_answers: int
    answers: int
    largest_row_change: float

    def reason(self) -> str:
        """Why the model answers as before, in a sentence; empty when it does not."""
        if self.largest_weight == 0.0:
            return "Every adapter weight is still zero, so nothing was learned: the run had no step or a rate of zero."
        unchanged = self.largest_row_change < 1e-3
        if unchanged and self.same_answers == self.answers:
            return (
                "The tuned model answers as the base does, and its probabilities hardly moved: the steps were too few "
                "or the learning rate too low. Train longer or raise training.learning_rate."
            )
        return ""
