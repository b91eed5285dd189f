"""Several GPUs on the Settings page."""

from __future__ import annotations

import pytest

from engine.answer import Answer
from tui.steps.devices import ACCUMULATION, DEVICES, problems


@pytest.mark.parametrize(("accumulation", "devices", "fewer"), [(3, 2, 1), (6, 4, 3), (1, 8, 1)])
def test_steps_that_do_not_divide_are_a_problem_with_a_way_out(accumulation: int, devices: int, fewer: int) -> None:
    answers = {ACCUMULATION: Answer(accumulation, "you", ""), DEVICES: Answer(devices, "you", "")}
    (problem,) = problems(answers)
    assert problem.blocking
    assert problem.remedy is not None
    assert (problem.remedy.key, problem.remedy.value) == (DEVICES, fewer)
    assert problems({**answers, DEVICES: Answer(fewer, "you", "")}) == []


def test_one_gpu_and_an_even_share_are_none() -> None:
    assert problems({}) == []
    assert problems({ACCUMULATION: Answer(8, "you", ""), DEVICES: Answer(4, "you", "")}) == []
