"""Losses that go wrong in real runs of a tiny model: nothing is patched, the rows themselves are bad."""

from __future__ import annotations

import json
import math
import random
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.runs.store import Run
from engine.train import checkpoint
from tests.chaos.rig import Workshop, carry_in_child
from tests.engine.train import material
from tests.engine.train.carried import Carried

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("chaos")]
GOOD = {"prompt": "How many lamps?", "completion": "Three red lamps and two blue mugs, as you asked."}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    import engine.train.phases  # noqa: F401  (imported once here, so that forked children have it)

    return Workshop.build(tmp_path_factory.mktemp("losses"))


def rows(path: Path, content: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return path


def train(workshop: Workshop, name: str, file: Path, model: Path | None = None, **changes: Any) -> Carried:
    usual = {"method__name": "full", "training__micro_batch_size": 1, "training__gradient_accumulation_steps": 1,
             "evaluation__held_out_rows": 0, "evaluation__samples": 0, "checkpoints__every_steps": 1000}  # fmt: skip
    run = material.make_run(workshop.root / "runs", name, model or workshop.model, file, **{**usual, **changes})
    return Carried(run, carry_in_child(run).wait())


def changed(model: Path, target: Path, name: str, factor: float) -> Path:
    """A copy of a model with one tensor multiplied."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(model, target)
    weights = load_file(target / "model.safetensors")
    weights[name] = weights[name] * np.float32(factor)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_rows_that_are_gibberish_are_spikes_and_nothing_else_is(workshop: Workshop, tmp_path: Path) -> None:
    chance = random.Random(3)
    bad = {f"{''.join(chance.choices('qxzjkvw', k=30))}" for _ in range(3)}
    content = [GOOD] * 240 + [{"prompt": word, "completion": word[::-1] * 2} for word in sorted(bad)]
    run = train(workshop, "spikes", rows(tmp_path / "rows.jsonl", content), training__max_steps=243,
                training__epochs=1.0, training__learning_rate=1e-3)  # fmt: skip
    assert run.code == 0
    losses = [event["loss"] for event in run.of("step")]
    marked = {event["step"] for event in run.of("step") if event.get("spike")}
    expected = {step for step in range(65, len(losses) + 1) if _is_spike(losses[max(0, step - 129) : step - 1],
                                                                        losses[step - 1])}  # fmt: skip
    assert marked == expected
    assert marked, losses


def _is_spike(before: list[float], loss: float) -> bool:
    """Six standard deviations above the mean of the last 128 steps, by the textbook."""
    return loss > statistics.fmean(before) + 6 * statistics.pstdev(before)


def test_an_evaluation_that_rises_is_said_and_the_best_checkpoint_kept(workshop: Workshop, tmp_path: Path) -> None:
    """Four rows are learned by heart, and other rows are asked: their loss falls first and rises then."""
    file = rows(tmp_path / "rows.jsonl", [{"prompt": f"{n} mugs?", "completion": f"{n} red mugs."} for n in range(4)])
    other = rows(tmp_path / "other.jsonl", [
        {"prompt": f"{n} bags?", "completion": f"Blue bags, {n} of them."} for n in range(12)])  # fmt: skip
    run = train(workshop, "rising", file, data__validation=str(other), training__max_steps=120, training__epochs=60.0,
                evaluation__every_steps=6, checkpoints__every_steps=6, checkpoints__keep=2,
                training__learning_rate=3e-3)  # fmt: skip
    assert run.code == 0, run.run.log_path.read_text()[-2000:]
    losses = {event["step"]: event["loss"] for event in run.of("eval") if event["step"] > 0}
    best = min(losses, key=lambda step: losses[step])
    (told, *_) = (event for event in run.of("warning") if event.get("kind") == "overfitting")
    assert "Consider stopping" in told["fix"]
    kept = checkpoint.steps_on_disk(run.run.checkpoints_dir)
    assert 0 < best < 114 and kept == [best, 114, 120], (best, kept, losses)


def test_a_model_that_knows_all_answers_has_nothing_to_learn(workshop: Workshop, tmp_path: Path) -> None:
    file = rows(tmp_path / "one.jsonl", [GOOD] * 40)
    learned = train(workshop, "by-heart", file, training__max_steps=250, training__epochs=20.0)
    assert learned.code == 0
    sure = changed(learned.run.result_dir / "model", tmp_path / "sure", "model.norm.weight", 8.0)
    run = train(workshop, "known", file, sure, training__max_steps=30, training__epochs=2.0,
                training__learning_rate=1e-7)  # fmt: skip
    first = [event["loss"] for event in run.of("step")]
    assert max(first) < 1e-4, first
    assert (run.code, len(first)) == (1, 5)
    assert "nothing to learn" in run.of("error")[0]["what"]
    assert run.of("checkpoint") == []


def test_numbers_that_overflow_end_the_run_before_anything_is_saved(workshop: Workshop, tmp_path: Path) -> None:
    huge = changed(workshop.model, tmp_path / "huge", "model.norm.weight", 3e38)
    run = train(workshop, "overflow", workshop.rows, huge, training__max_steps=60, training__epochs=9.0,
                checkpoints__every_steps=1)  # fmt: skip
    assert run.code == 1
    assert "no number since step 1" in run.of("error")[0]["what"]
    assert len(run.of("step")) == 3
    saved = checkpoint.steps_on_disk(run.run.checkpoints_dir)
    assert all(_finite(run.run, step) for step in saved), saved


def _finite(run: Run, step: int) -> bool:
    from safetensors.numpy import load_file

    weights = load_file(checkpoint.step_directory(run.checkpoints_dir, step) / "model.safetensors")
    return all(math.isfinite(float(abs(weight).max())) for weight in weights.values())


def test_answers_that_are_all_cut_off_are_refused_before_training(workshop: Workshop, tmp_path: Path) -> None:
    long = rows(tmp_path / "rows.jsonl", [{"prompt": "word " * 200, "completion": "yes"}] * 12)
    run = train(workshop, "cut", long, training__sequence_length=32)
    assert run.code == 2
    assert run.of("step") == []
    error = run.of("error")[0]
    assert error["what"] and error["fix"]
