"""What is said of a run that compares answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.runs.history import History
from tui.verdict import judge
from tui.verdict_words import Verdict
from tui.watch.event_words import note_of
from tui.watch.lines import LossLines

Curve = Callable[[int], float]


def verdict_on(steps: int, total: int = 1000, **curves: Curve) -> Verdict:
    history = History()
    for step in range(1, steps + 1):
        values = {name: curve(step) for name, curve in curves.items()}
        history.add({"type": "step", "step": step, "total_steps": total, "loss": 0.6, **values})
    lines = LossLines()
    lines.update(history)
    return judge(history, lines.raw, lines.smooth)


def test_rising_margins_are_good() -> None:
    verdict = verdict_on(200, margin=lambda step: step / 200, accuracy=lambda step: 0.5 + step / 800)
    assert verdict.words == "Learning what is preferred."
    assert verdict.mood == "good"
    assert "right order" in verdict.reason


def test_a_loss_of_nearly_nothing_is_no_masked_answer_here() -> None:
    history = History()
    for step in range(1, 41):
        history.add({"type": "step", "step": step, "total_steps": 100, "loss": 0.001, "margin": step / 10})
    lines = LossLines()
    lines.update(history)
    assert "answer stands in the prompt" not in judge(history, lines.raw, lines.smooth).reason


def test_chosen_answers_that_fall_are_a_warning() -> None:
    verdict = verdict_on(200, margin=lambda step: step / 50, reward_chosen=lambda step: -step / 30)
    assert verdict.words == "The chosen answers become less likely, too."
    assert "learning rate" in verdict.advice


def test_rewards_that_begin_below_zero_are_no_fall() -> None:
    """ORPO's rewards are log-probabilities."""
    verdict = verdict_on(200, margin=lambda step: step / 500, reward_chosen=lambda step: -5.0)
    assert verdict.mood == "good"


def test_pairs_in_order_at_once_are_suspicious() -> None:
    verdict = verdict_on(40, margin=lambda step: 3.0, accuracy=lambda step: 1.0)
    assert "Suspicious" in verdict.words
    late = verdict_on(900, margin=lambda step: step / 100, accuracy=lambda step: 1.0)
    assert "Suspicious" not in late.words


def test_no_margin_after_many_steps_is_said() -> None:
    assert verdict_on(100, margin=lambda step: -0.01).words == "Nothing is preferred yet."


def test_a_broken_loss_comes_first() -> None:
    history = History()
    for step in range(1, 31):
        history.add({"type": "step", "step": step, "total_steps": 100, "loss": "NaN", "margin": 0.1})
    lines = LossLines()
    lines.update(history)
    assert judge(history, lines.raw, lines.smooth).mood in {"bad", "dim"}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"loss": 0.61, "rows": 30, "margin": 0.25, "accuracy": 0.7}, "loss 0.61, margin 0.25, in the right order 70%"),
        ({"loss": 0.48, "margin": 0.1, "kl": 1.5}, "loss 0.48, margin 0.1, KL 1.5"),
        ({"loss": 2.0, "perplexity": 7.389, "general_loss": 1.9}, "loss 2, perplexity 7.389, general text 1.9"),
    ],
)
def test_an_evaluation_is_told_in_its_own_words(event: dict[str, float], words: str) -> None:
    note = note_of({"type": "eval", "step": 4, **event})
    assert note is not None
    assert words in note.text
