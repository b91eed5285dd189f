"""What goes wrong: memory runs out, numbers stop being numbers, the disk fills up, input is bad."""

from __future__ import annotations

import errno
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.engine.train.carried import Carried, RunFactory, carry, copy_until


@pytest.fixture(scope="module")
def whole(make_run: RunFactory) -> Carried:
    """The run that nothing happens to."""
    return carry(make_run("no-fault"))


def memory_runs_out(monkeypatch: pytest.MonkeyPatch, above_rows: int, from_call: int = 0) -> list[int]:
    """Let every forward pass with more rows than `above_rows` fail, from the given call on; returns the row counts."""
    import torch

    from engine.train.trainer import RunTrainer

    before = RunTrainer.compute_loss
    calls: list[int] = []

    def compute_loss(self: Any, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        rows = len(inputs["input_ids"])
        calls.append(rows)
        if len(calls) > from_call and rows > above_rows and model.training:
            loss = before(self, model, inputs, *rest, **named)
            loss.backward()  # a failed pass may leave a part of its gradient behind
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return before(self, model, inputs, *rest, **named)

    monkeypatch.setattr(RunTrainer, "compute_loss", compute_loss)
    return calls


def test_running_out_of_memory_is_a_speed_bump(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same effective batch, same losses up to rounding, every step counted once."""
    whole = carry(make_run("oom-reference", method__dropout=0.0, training__micro_batch_size=4))
    memory_runs_out(monkeypatch, above_rows=2, from_call=8)
    bumped = carry(make_run("oom", method__dropout=0.0, training__micro_batch_size=4))
    assert bumped.code == 0
    assert [(event["parts"], event["micro_batch_size"]) for event in bumped.of("oom")] == [(2, 2)]
    assert sorted(bumped.steps) == sorted(whole.steps)
    assert len(bumped.of("step")) == 12
    for step, values in whole.steps.items():
        assert bumped.steps[step][:3] == pytest.approx(values[:3], rel=1e-4)
        assert bumped.steps[step][3] == values[3]


def test_the_rehearsal_cuts_before_step_1(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = memory_runs_out(monkeypatch, above_rows=1)
    run = carry(make_run("oom-rehearsal", training__micro_batch_size=4, training__max_steps=2))
    assert run.code == 0
    assert [event["parts"] for event in run.of("oom")] == [2, 4]
    assert run.of("rehearsal")[0]["parts"] == 4
    assert calls[:2] == [4, 2]
    assert set(calls[2:]) == {1}


def test_no_memory_at_all_says_what_helps(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_runs_out(monkeypatch, above_rows=0)
    failed = carry(make_run("oom-all"))
    assert failed.code == 1
    error = failed.of("error")[0]
    assert "memory" in error["what"]
    assert "gradient checkpointing" in error["fix"]
    assert failed.of("step") == []


def poison(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Make the loss of these steps NaN."""
    from engine.train.trainer import RunTrainer

    before = RunTrainer.compute_loss

    def compute_loss(self: Any, model: Any, *rest: Any, **named: Any) -> Any:
        loss = before(self, model, *rest, **named)
        bad = model.training and self.is_in_train and self.state.global_step + 1 in steps
        return loss * float("nan") if bad else loss

    monkeypatch.setattr(RunTrainer, "compute_loss", compute_loss)


def test_one_bad_batch_does_not_touch_the_weights(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, {5})
    run = carry(make_run("nan-once"))
    assert run.code == 0
    assert [event["loss"] for event in run.of("step") if event["step"] == 5] == ["NaN"]
    assert [event["where"] for event in run.of("warning") if event.get("kind") == "nan"] == ["step 5"]
    assert all(isinstance(event["loss"], float) for event in run.of("step") if event["step"] != 5)


def test_numbers_that_stay_bad_end_the_run_with_the_last_good_checkpoint(
    make_run: RunFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file

    from engine.train import checkpoint

    poison(monkeypatch, {6, 7, 8, 9})
    failed = carry(make_run("nan", training__learning_rate=0.9))
    assert failed.code == 1
    assert "since step 6" in failed.of("error")[0]["what"]
    assert "learning rate" in failed.of("error")[0]["fix"]
    assert [event["step"] for event in failed.of("checkpoint")] == [4]
    found = checkpoint.find_verified(failed.run.checkpoints_dir).best
    assert found is not None
    weights = load_file(found.path / "adapter_model.safetensors")
    assert all(math.isfinite(float(abs(weight).sum())) for weight in weights.values())


def test_a_full_disk_is_waited_for(make_run: RunFactory, whole: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.train import saving

    tries: list[int] = []
    before = saving.write_training_state

    def write(*arguments: Any) -> None:
        tries.append(1)
        before(*arguments)
        if len(tries) in {1, 2}:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saving, "write_training_state", write)
    monkeypatch.setattr(saving, "RETRY_SECONDS", 0.01)
    run = carry(make_run("full-disk"))
    assert run.code == 0
    assert [event["step"] for event in run.of("checkpoint")] == [4, 8, 12]
    assert len([event for event in run.of("warning") if event.get("kind") == "disk"]) == 1
    assert not list(run.run.checkpoints_dir.glob(".staging*"))
    assert run.weights() == whole.weights()


def test_a_disk_that_stays_full_ends_resumably(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.train import saving

    before = saving.write_training_state

    def write(trainer: Any, *arguments: Any) -> None:
        if trainer.state.global_step == 8:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        before(trainer, *arguments)

    monkeypatch.setattr(saving, "write_training_state", write)
    monkeypatch.setattr(saving, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(saving, "GIVE_UP_SECONDS", 0.03)
    run = carry(make_run("quota"))
    assert run.code == 3
    assert "quota" in run.of("end")[-1]["detail"]
    assert [event["step"] for event in run.of("checkpoint")] == [4]


def test_the_best_checkpoint_is_kept_besides_the_newest(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.train.evaluation import Evaluation
    from engine.train.evaluator import Evaluator

    losses = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = lambda *_: Evaluation(next(losses), 1.0, 6, 60, 0.1)  # noqa: E731
    monkeypatch.setattr(Evaluator, "_measure", found)
    run = carry(make_run("best", checkpoints__keep=2, checkpoints__every_steps=2, evaluation__every_steps=2))
    assert [int(path.name[5:]) for path in sorted(run.run.checkpoints_dir.iterdir())] == [2, 10, 12]
    assert [event["where"] for event in run.of("warning") if event.get("kind") == "overfitting"] == ["step 8"]


def test_damaged_checkpoints_are_passed_over_and_named(make_run: RunFactory, whole: Carried) -> None:
    run = copy_until(whole, "damaged", 8)
    path = run.checkpoints_dir / "step-00000008" / "optimizer.pt"
    content = path.read_bytes()
    path.write_bytes(content[:999] + bytes([content[999] ^ 1]) + content[1000:])
    again = carry(run, resume=True)
    assert again.code == 0
    named = [event for event in again.of("warning") if event.get("kind") == "damaged"]
    assert "step-00000008" in named[0]["what"]
    assert "optimizer.pt" in named[0]["where"]
    assert again.of("rewind")[-1]["step"] == 4
    assert again.weights() == whole.weights()


def test_a_changed_recipe_is_refused(whole: Carried) -> None:
    run = copy_until(whole, "changed", 8)
    run.recipe_path.write_text(run.recipe_path.read_text().replace("learning_rate = 0.005", "learning_rate = 0.006"))
    refused = carry(run, resume=True)
    assert refused.code == 2
    assert "training.learning_rate was 0.005 and is 0.006" in refused.of("error")[0]["what"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__source": "/nowhere/model"}, "model"),
        ({"data__source": "/nowhere/rows.jsonl"}, "rows.jsonl"),
        ({"method__target_modules": ["no_such_layer"]}, "adapter"),
        ({"training__sequence_length": 8}, "rows"),
    ],
)
def test_bad_input_is_a_sentence(make_run: RunFactory, changes: dict[str, Any], words: str) -> None:
    failed = carry(make_run(f"bad-{'-'.join(changes).replace('__', '-').replace('_', '-')}", **changes))
    assert failed.code == 2
    error = failed.of("error")[0]
    assert words in f"{error['what']} {error['where']}"
    assert error["fix"]
    assert failed.of("end")[-1]["reason"] == "failed"
    assert failed.run.state()["stop_reason"] == "failed"


def test_a_run_with_checkpoints_is_not_begun_again_by_accident(whole: Carried) -> None:
    refused = carry(copy_until(whole, "again-by-accident", 8))
    assert refused.code == 2
    assert "tunewright resume" in refused.of("error")[0]["fix"]


def test_a_broken_weights_file_is_named(make_run: RunFactory, tiny_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(tiny_model, broken)
    path = broken / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    failed = carry(make_run("broken-weights", model__source=str(broken)))
    assert failed.code == 2
    assert failed.of("step") == []
