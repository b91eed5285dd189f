"""The order of rows: a plain trainer's random steps, sorted inside each step, the same for the same seed and epoch."""

from __future__ import annotations

import random

import pytest
import torch
from accelerate.data_loader import SeedableRandomSampler

from engine.train.order import StepOrder
from tests.engine.train.carried import RunFactory, carry, copy_until

LENGTHS = random.Random(3).choices(range(5, 400), k=103)


def steps(order: list[int], rows: int) -> list[list[int]]:
    return [order[start : start + rows] for start in range(0, len(order), rows)]


@pytest.mark.parametrize("epoch", [0, 1, 5])
@pytest.mark.parametrize("rows", [1, 16, 200])
def test_every_step_has_the_rows_of_a_plain_trainers_step(rows: int, epoch: int) -> None:
    ours = StepOrder(LENGTHS, rows, 42)
    theirs = SeedableRandomSampler(LENGTHS, data_seed=42)
    ours.set_epoch(epoch)
    theirs.set_epoch(epoch)
    got, expected = steps(list(ours), rows), steps(list(theirs), rows)
    assert [sorted(step) for step in got] == [sorted(step) for step in expected]
    for step in got:
        lengths = [LENGTHS[row] for row in step]
        assert lengths == sorted(lengths, reverse=True)


def test_seed_and_epoch_decide_alone() -> None:
    order = StepOrder(LENGTHS, 8, 1)
    first = list(order)
    torch.rand(3)  # the state of the global generator plays no part
    assert list(order) == first and len(order) == len(LENGTHS)
    order.set_epoch(1)
    assert list(order) != first
    assert list(StepOrder(LENGTHS, 8, 2)) != first


def test_sorted_steps_pad_less() -> None:
    def padded(order: list[int]) -> int:
        return sum(4 * max(LENGTHS[row] for row in batch) for batch in steps(order, 4) if len(batch) == 4)

    assert padded(list(StepOrder(LENGTHS, 16, 7))) < 0.85 * padded(list(StepOrder(LENGTHS, 1, 7)))


def test_a_run_resumes_the_same_in_its_second_epoch(make_run: RunFactory) -> None:
    """54 rows at 2 x 4 make 7 steps an epoch, the last of 6 rows in 3 micro-batches; steps 8 to 14 are the second."""
    changes = {"training__micro_batch_size": 2, "training__gradient_accumulation_steps": 4}
    whole = carry(make_run("second-epoch", training__max_steps=14, checkpoints__every_steps=5, **changes))
    assert whole.code == 0 and list(whole.steps) == list(range(1, 15))
    for step in (5, 10):
        again = carry(copy_until(whole, f"second-epoch-{step}", step), resume=True)
        assert again.steps == whole.steps
        assert again.weights() == whole.weights()
