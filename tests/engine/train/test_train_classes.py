"""Classification with a real head: it learns to choose, goes on exactly, and says what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.runs.store import Run
from tests.engine.train.carried import RunFactory, carry, copy_until
from tests.engine.train.material import COLORS, THINGS

torch = pytest.importorskip("torch")

from engine.train.class_evaluation import macro_f1  # noqa: E402


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The label is the kind of thing that the text names."""
    path = tmp_path_factory.mktemp("classes") / "labelled.jsonl"
    rows = [{"text": f"I want {n % 7} {COLORS[n % 6]} {THINGS[n % 3]}.", "label": THINGS[n % 3]} for n in range(120)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def make(make_run: RunFactory, labelled: Path) -> RunFactory:
    def run(name: str, **changes: Any) -> Run:
        usual = {"data__source": str(labelled), "data__format": "classification", "method__objective": "classify",
                 "training__learning_rate": 5e-3, "training__max_steps": 12,
                 "evaluation__held_out_rows": 18}  # fmt: skip
        return make_run(name, **{**usual, **changes})

    return run


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_it_learns_to_choose(make: RunFactory, method: str) -> None:
    rate = {"training__learning_rate": 2e-3} if method == "full" else {}
    done = carry(make(f"classes-{method}", method__name=method, training__max_steps=40, **rate))
    assert done.code == 0, done.of("error")
    first, last = done.of("eval")[0], done.of("eval")[-1]
    assert last["loss"] < first["loss"] and "perplexity" not in last and last["rows"] >= 12
    assert last["right_labels"] > 0.6 and last["macro_f1"] > 0.5, "guessing among three is a third"
    facts = json.loads((done.run.result_dir / "result.json").read_text())
    assert facts["labels"] == sorted(THINGS[:3]) and facts["objective"] == "classify"


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_that_was_interrupted_equals_one_that_was_not(make: RunFactory, method: str) -> None:
    whole = carry(make(f"classes-whole-{method}", method__name=method))
    again = carry(copy_until(whole, f"classes-again-{method}", 6), resume=True)
    assert again.steps == whole.steps and again.weights() == whole.weights()


def test_a_batch_is_cut_when_memory_runs_out(make: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.train.classes import ClassTrainer

    exact = {"training__micro_batch_size": 4, "method__dropout": 0.0}
    whole = carry(make("classes-room", **exact))
    real = ClassTrainer.compute_loss

    def scarce(self: Any, model: Any, inputs: Any, *more: Any, **options: Any) -> Any:
        if len(inputs["labels"]) > 2 and model.training:
            raise torch.OutOfMemoryError("out of memory")
        return real(self, model, inputs, *more, **options)

    monkeypatch.setattr(ClassTrainer, "compute_loss", scarce)
    cut = carry(make("classes-cut", **exact))
    assert cut.code == 0 and cut.of("oom")
    assert [e["loss"] for e in cut.of("step")] == pytest.approx([e["loss"] for e in whole.of("step")], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"training__packing": True}, "without training.packing"), ({"data__format": "instruction"}, "format")],
)
def test_what_does_not_go_together_is_refused(make: RunFactory, changes: dict[str, Any], words: str) -> None:
    done = carry(make(f"classes-no-{words[-7:].strip('.')}", **changes))
    assert done.code == 2 and words in str(done.of("error")[0])


def test_macro_f1_by_hand() -> None:
    assert macro_f1([0, 1, 1], [0, 1, 1]) == 1.0
    assert macro_f1([0, 0, 0, 0], [0, 0, 1, 1]) == pytest.approx((2 / 3 + 0) / 2)
