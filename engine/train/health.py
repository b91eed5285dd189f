"""Is the loss still going well? Pure rules over numbers, so that they can be tested without a model."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

BAD_STEPS_LIMIT = 3
"""So many steps in a row without a finite loss or gradient end a run."""
SPIKE_WINDOW = 128
SPIKE_MINIMUM = 64
SPIKE_SIGMAS = 6.0
"""Levanter and OLMo-core use the same rule: 6 standard deviations over the last 128 steps, once there are 64."""
NOTHING_TO_LEARN = 1e-4
EARLY_STEPS = 5
RISES_LIMIT = 3


@dataclass
class LossWatch:
    """Looks at every step. `bad_steps` counts steps in a row whose loss or gradient was not finite."""

    bad_steps: int = 0
    first_bad_step: int = 0
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=SPIKE_WINDOW))
    _tiny_steps: int = 0
    _steps: int = 0
    _sum: float = 0.0
    _sum_of_squares: float = 0.0

    def add(self, step: int, loss: float, gradient_norm: float) -> bool:
        """Take in a step; whether its loss is a spike."""
        self._steps += 1
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            self.first_bad_step = self.first_bad_step if self.bad_steps else step
            self.bad_steps += 1
            return False
        self.bad_steps = 0
        self._tiny_steps += loss < NOTHING_TO_LEARN
        spike = self._is_spike(loss)
        self._remember(loss)
        return spike

    @property
    def gone(self) -> bool:
        """Whether the run has to end, since its numbers are none."""
        return self.bad_steps >= BAD_STEPS_LIMIT

    @property
    def nothing_to_learn(self) -> bool:
        """Whether the first steps all had a loss of nearly zero: labels are missing, or every answer is known."""
        return self._steps == self._tiny_steps == EARLY_STEPS

    def _is_spike(self, loss: float) -> bool:
        count = len(self._recent)
        if count < SPIKE_MINIMUM:
            return False
        mean = self._sum / count
        variance = max(0.0, self._sum_of_squares / count - mean * mean)
        return variance > 0 and loss > mean + SPIKE_SIGMAS * math.sqrt(variance)

    def _remember(self, loss: float) -> None:
        if len(self._recent) == SPIKE_WINDOW:
            oldest = self._recent[0]
            self._sum -= oldest
            self._sum_of_squares -= oldest * oldest
        self._recent.append(loss)
        self._sum += loss
        self._sum_of_squares += loss * loss


@dataclass
class EvaluationWatch:
    """Looks at evaluations: which was best, and whether they have begun to rise."""

    best_loss: float = math.inf
    best_step: int = 0
    saved_loss: float = math.inf
    saved_step: int = 0
    """The best of the steps that also have a checkpoint: that one is kept."""
    stale: int = 0
    """Planned evaluations in a row that were not better than the best of them, `lowest`."""
    lowest: float = math.inf
    _last: float = math.inf
    _rises: int = 0

    def add(self, step: int, loss: float) -> bool:
        """Take in an evaluation; True once, when it has risen three times in a row."""
        self._rises = self._rises + 1 if loss > self._last else 0
        self._last = loss
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, step
        return self._rises == RISES_LIMIT

    def improves(self, loss: float) -> bool:
        """Take in a planned evaluation; whether it is the best of them so far."""
        better = loss < self.lowest
        self.lowest, self.stale = (loss, 0) if better else (self.lowest, self.stale + 1)
        return better

    def save(self, step: int, loss: float) -> None:
        """Take in that a step which was evaluated gets a checkpoint."""
        if loss < self.saved_loss:
            self.saved_loss, self.saved_step = loss, step


def cause_of_bad_numbers(precision: str, learning_rate: float, method: str) -> str:
    """What most likely made the loss infinite or NaN, and what to try, in one or two sentences."""
    usual = 2e-5 if method == "full" else 2e-4
    if learning_rate > 5 * usual:
        return f"The learning rate of {learning_rate:g} is high for this method: {usual:g} is usual. Lower it."
    if precision == "fp16":
        return "fp16 overflows easily. Use bf16 where the GPU knows it, or fp32."
    return f"Lower the learning rate (it is {learning_rate:g}), and look for broken rows: tunewright data."
