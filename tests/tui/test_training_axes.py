"""The labels of the steps axis: steps, epochs, and the clock at each step."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.runs.history import History
from tui.watch.axes import Axis, time_label


def axis_over(seconds: Sequence[float], epochs_per_step: float = 0.01) -> Axis:
    history = History()
    for number, spent in enumerate(seconds, 1):
        history.add({"type": "step", "step": number, "loss": 1.0, "seconds": spent, "epoch": number * epochs_per_step})
    axis = Axis()
    axis.follow(history)
    return axis


def test_steps_first() -> None:
    assert axis_over([1.0] * 10).labels(0, 400, 4)[-1] == (400, "400 steps")


def test_epochs_stand_at_their_steps() -> None:
    axis = axis_over([1.0] * 10)
    assert axis.next() == "epochs"
    assert axis.labels(0, 400, 4)[:2] == [(0, "0"), (pytest.approx(100), "1")]
    assert axis.labels(0, 400, 4)[-1][1] == "4 epochs"


def test_time_stands_where_the_clock_was() -> None:
    axis = axis_over([1.0] * 60 + [3.0] * 60)
    axis.by = "time"
    places = {text: x for x, text in axis.labels(0, 120, 4)}
    assert places["1 min"] == 60
    assert places["2 min"] == 80


def test_time_goes_on_at_the_usual_pace() -> None:
    axis = axis_over([1.0] * 60)
    axis.by = "time"
    assert (120.0, "2 min") in axis.labels(0, 240, 4)


def test_what_a_run_does_not_tell_is_passed_over() -> None:
    axis = axis_over([0.0] * 10, epochs_per_step=0.0)
    assert axis.next() == "steps"


def test_a_run_that_went_back_is_measured_anew() -> None:
    history = History()
    for number in range(1, 6):
        history.add({"type": "step", "step": number, "loss": 1.0, "seconds": 10.0})
    axis = Axis()
    axis.follow(history)
    history.add({"type": "rewind", "step": 2})
    history.add({"type": "step", "step": 3, "loss": 1.0, "seconds": 10.0})
    axis.follow(history)
    axis.by = "time"
    assert axis.labels(0, 3, 2)[-1] == (3.0, "30 s")


def test_times_are_short() -> None:
    labels = [time_label(value) for value in (0, 30, 90, 300, 7_200, 172_800)]
    assert labels == ["0", "30 s", "1.5 min", "5 min", "2 h", "2 d"]
