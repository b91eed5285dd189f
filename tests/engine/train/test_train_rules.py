"""The rules that need no model: schedule, orders, health of the loss, disk in words, batches, facts."""

from __future__ import annotations

import errno
import math
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.train import disk, facts
from engine.train.health import EvaluationWatch, LossWatch, cause_of_bad_numbers
from engine.train.orders import Order, Orders
from engine.train.schedule import make_schedule


def recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {"model.source": "m", "data.source": "d", "training.micro_batch_size": 4,
                              "training.gradient_accumulation_steps": 2}  # fmt: skip
    values.update({key.replace("__", "."): value for key, value in changes.items()})
    return Recipe.from_answers({key: Answer(value, "you", "test") for key, value in values.items()})


@pytest.mark.parametrize(
    ("sequences", "epochs", "limit", "per_epoch", "total"),
    [(80, 3.0, 0, 10, 30), (81, 3.0, 0, 11, 33), (80, 0.5, 0, 10, 5), (80, 3.0, 7, 10, 7), (80, 1.0, 500, 10, 10),
     (1, 0.01, 0, 1, 1)],
)  # fmt: skip
def test_steps_of_a_run(sequences: int, epochs: float, limit: int, per_epoch: int, total: int) -> None:
    schedule = make_schedule(recipe(training__epochs=epochs, training__max_steps=limit), sequences, 0)
    assert (schedule.steps_per_epoch, schedule.total_steps) == (per_epoch, total)


def test_ten_evaluations_and_five_checkpoints_unless_told_otherwise() -> None:
    schedule = make_schedule(recipe(training__epochs=5.0), 160, 10)
    assert schedule.total_steps == 100
    assert [step for step in range(1, 101) if schedule.evaluates_at(step)] == list(range(10, 101, 10))
    assert [step for step in range(1, 101) if schedule.saves_at(step)] == [20, 40, 60, 80, 100]
    assert not make_schedule(recipe(), 160, 0).evaluates_at(10)
    assert make_schedule(recipe(checkpoints__every_steps=7), 160, 0).saves_at(14)


def test_a_warm_up_of_one_step_would_only_waste_it() -> None:
    assert make_schedule(recipe(training__max_steps=12, training__warmup_ratio=0.05), 800, 0).warmup_steps == 0
    assert make_schedule(recipe(training__max_steps=100, training__warmup_ratio=0.05), 8000, 0).warmup_steps == 5


def test_orders_are_taken_once_and_in_order() -> None:
    orders = Orders()
    assert not orders.waiting
    assert orders.give(Order("save", "1"))
    assert orders.give(Order("stop", "2"))
    assert orders.waiting
    assert not orders.give(Order("save", "3")), "the run is ending"
    assert [order.action for order in orders.take("stop")] == ["stop"]
    assert orders.waiting
    assert [order.identity for order in orders.take()] == ["1"]
    assert not orders.waiting
    assert orders.ending is not None


def test_a_stop_can_be_taken_back_only_before_it_is_acted_on() -> None:
    orders = Orders()
    orders.give(Order("stop"))
    assert orders.withdraw_ending()
    assert (orders.waiting, orders.ending) == (False, None)
    orders.give(Order("pause"))
    orders.take()
    assert not orders.withdraw_ending()


def test_three_bad_steps_in_a_row_end_a_run() -> None:
    watch = LossWatch()
    for step, (loss, norm) in enumerate([(2.0, 1.0), (math.nan, 1.0), (2.0, 1.0), (2.0, math.inf), (math.nan, 1.0)], 1):
        watch.add(step, loss, norm)
        assert not watch.gone
    watch.add(6, math.inf, math.inf)
    assert watch.gone
    assert watch.first_bad_step == 4


def test_a_spike_is_six_sigma_above_the_last_steps() -> None:
    watch = LossWatch()
    marks = [watch.add(step, 2.0 + 0.1 * (step % 2), 1.0) for step in range(100)]
    assert not any(marks)
    assert watch.add(100, 2.6, 1.0)
    assert not watch.add(101, 2.2, 1.0)


def test_no_spike_is_called_before_there_is_a_history() -> None:
    watch = LossWatch()
    assert not any(watch.add(step, 2.0 + 0.1 * (step % 2), 1.0) for step in range(40))
    assert not watch.add(40, 50.0, 1.0)


def test_a_loss_of_nothing_from_the_start_is_an_error() -> None:
    watch = LossWatch()
    for step in range(4):
        watch.add(step, 1e-6, 0.1)
        assert not watch.nothing_to_learn
    watch.add(4, 1e-6, 0.1)
    assert watch.nothing_to_learn
    watch.add(5, 1e-6, 0.1)
    assert not watch.nothing_to_learn


def test_a_rising_evaluation_is_said_once() -> None:
    watch = EvaluationWatch()
    said = [watch.add(step, loss) for step, loss in enumerate([3.0, 2.0, 2.1, 2.2, 2.3, 2.4], 1)]
    assert said == [False, False, False, False, True, False]
    assert (watch.best_step, watch.best_loss) == (2, 2.0)


def test_the_likely_cause_is_named() -> None:
    assert "learning rate" in cause_of_bad_numbers("bf16", 0.1, "lora")
    assert "fp16" in cause_of_bad_numbers("fp16", 2e-4, "lora")
    assert "broken rows" in cause_of_bad_numbers("bf16", 2e-5, "full")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only"),
        (OSError(errno.EIO, "Input/output error"), "error"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 43337792 vs 43337680"), "full"),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), "full"),
    ],
)
def test_disk_trouble_in_words(error: Exception, word: str) -> None:
    assert word in disk.disk_trouble(error)


def test_other_errors_are_not_blamed_on_the_disk() -> None:
    assert disk.disk_trouble(FileNotFoundError(errno.ENOENT, "No such file")) == ""
    assert disk.disk_trouble(RuntimeError("size mismatch")) == ""


def test_a_disk_without_room_is_said_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _: 500_000_000)
    disk.require_room(tmp_path, 50_000_000, 10_000_000, 2)
    with pytest.raises(UserError, match="500|0.5 GB free"):
        disk.require_room(tmp_path, 200_000_000, 10_000_000, 2)


def test_going_on_with_something_else_is_refused() -> None:
    values = {"training.seed": 1, "method.rank": 8}
    before: dict[str, Any] = {"recipe": values, "data": "d", "model": "m", "versions": {"torch": "2.13.0"}}
    assert facts.refuse_changed(before, before, "here") == []
    newer = {**before, "versions": {"torch": "2.14.1"}}
    assert facts.refuse_changed(before, newer, "here") == ["torch was 2.13.0 and is 2.14.1."]
    for changed, words in (
        ({**before, "recipe": {"training.seed": 2, "method.rank": 8}}, "training.seed was 1 and is 2"),
        ({**before, "data": "other"}, "rows have changed"),
        ({**before, "model": "other"}, "base model has changed"),
        ({**before, "versions": {"torch": "3.0.0"}}, "torch was 2.13.0 and is 3.0.0"),
    ):
        with pytest.raises(UserError, match=words):
            facts.refuse_changed(before, changed, "here")


def test_a_model_is_told_apart_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(3_000_000))
    first = facts.fingerprint_model(tmp_path)
    assert facts.fingerprint_model(tmp_path) == first
    weights.write_bytes(b"\1" + bytes(2_999_999))
    assert facts.fingerprint_model(tmp_path) != first
