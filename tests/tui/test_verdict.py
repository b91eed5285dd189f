"""The verdict in plain words: each rule speaks when it should, and not when it should not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.runs.history import History
from tui.verdict import judge
from tui.verdict_words import Verdict
from tui.watch.lines import LossLines


def verdict_on(
    losses: Sequence[float], total: int = 1_000, evals: Sequence[tuple[int, float]] = (), norms: Sequence[float] = ()
) -> Verdict:
    history = History()
    for number, loss in enumerate(losses, 1):
        extra = {"grad_norm": norms[number - 1]} if norms else {}
        said = loss if math.isfinite(loss) else "NaN"
        history.add({"type": "step", "step": number, "total_steps": total, "loss": said, **extra})
    for number, loss in evals:
        history.add({"type": "eval", "step": number, "loss": loss})
    lines = LossLines()
    lines.update(history)
    return judge(history, lines.raw, lines.smooth)


def falling(count: int) -> list[float]:
    return [0.5 + 2.5 * math.exp(-number / 200) for number in range(count)]


def test_the_first_steps_say_nothing() -> None:
    assert verdict_on([3.0] * 5).words == "Too early to say."


def test_a_falling_loss_is_normal() -> None:
    verdict = verdict_on(falling(300))
    assert verdict.words == "Falling normally."
    assert verdict.mood == "good"
    assert not verdict.advice


def test_a_loss_that_is_no_number_is_broken_since_then() -> None:
    verdict = verdict_on([*falling(100), math.nan, math.nan])
    assert "step 101" in verdict.words
    assert verdict.mood == "bad"
    assert "learning rate" in verdict.advice


def test_only_broken_steps_are_broken() -> None:
    assert verdict_on([math.nan] * 3).mood == "bad"


def test_one_broken_step_that_passed_is_no_verdict() -> None:
    assert verdict_on([*falling(100), math.nan, *falling(110)[100:]]).words == "Falling normally."


def test_no_loss_at_all_looks_masked() -> None:
    assert "masked" in verdict_on([0.0] * 20).reason


def test_almost_no_loss_early_is_suspicious_and_late_is_not() -> None:
    assert "Suspicious" in verdict_on([0.001] * 20).words
    late = [max(0.0005, 3 * math.exp(-number / 40)) for number in range(600)]
    assert "Suspicious" not in verdict_on(late, total=620).words


def test_a_rising_loss_is_said_with_the_step_of_its_lowest() -> None:
    verdict = verdict_on([*falling(300), *[1.2 + number / 50 for number in range(100)]])
    assert "Getting worse" in verdict.words
    assert verdict.mood == "warn"


def test_rising_evaluations_are_overfitting_with_the_best_step() -> None:
    verdict = verdict_on(falling(500), evals=[(100, 1.5), (200, 1.2), (300, 1.3), (400, 1.5)])
    assert "since step 200" in verdict.words
    assert "overfitting" in verdict.words


def test_one_worse_evaluation_is_not_overfitting() -> None:
    assert verdict_on(falling(500), evals=[(100, 1.5), (200, 1.2), (300, 1.25)]).words == "Falling normally."


def test_a_flat_loss_is_flat() -> None:
    verdict = verdict_on([*falling(200), *[falling(200)[-1]] * 400])
    assert "Flat for" in verdict.words


def test_a_jump_of_the_gradient_is_said() -> None:
    verdict = verdict_on(falling(100), norms=[0.8] * 99 + [80.0])
    assert "100 times" in verdict.words


def test_every_verdict_gives_a_reason() -> None:
    for losses in ([3.0] * 3, falling(300), [0.0] * 20, [math.nan] * 20, [1.0] * 200):
        assert verdict_on(losses).reason.endswith(".")
