"""DPO, KTO and ORPO: margins rise, a resumed run is the same run, and TRL's own losses are what is computed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from engine.data.prepare import load_examples
from engine.data.rendered import Rendered
from engine.errors import UserError
from engine.recipe import Recipe
from engine.runs.store import Run
from tests.engine.train import material
from tests.engine.train.carried import Carried, OnDemand, RunFactory, carry, copy_until

CASES: dict[str, dict[str, Any]] = {
    "dpo-lora": {"objective": "dpo", "name": "lora"},
    "dpo-full": {"objective": "dpo", "name": "full"},
    "dpo-full-precomputed": {"objective": "dpo", "name": "full", "reference": "precomputed"},
    "kto-lora": {"objective": "kto", "name": "lora"},
    "kto-full-precomputed": {"objective": "kto", "name": "full", "reference": "precomputed"},
    "orpo-lora": {"objective": "orpo", "name": "lora"},
}

RARE = ("dpo-full", "kto-full-precomputed")
TRIED = [pytest.param(case, marks=pytest.mark.long) if case in RARE else case for case in CASES]


def answer(number: int, good: bool) -> str:
    return json.dumps([material.COLORS[number % 6]]) if good else f"I do not know {material.THINGS[number % 6]}"


def write_pairs(path: Path) -> Path:
    rows = [{"prompt": f"I want {n % 7} {material.COLORS[n % 6]} bags.", "chosen": answer(n, True),
             "rejected": answer(n, False)} for n in range(40)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_judged(path: Path) -> Path:
    rows = [{"prompt": f"I want {n % 7} {material.COLORS[n % 6]} bags.", "completion": answer(n, n % 3 > 0),
             "label": n % 3 > 0} for n in range(40)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def make(make_run: RunFactory, tmp_path_factory: pytest.TempPathFactory) -> RunFactory:
    folder = tmp_path_factory.mktemp("preferences")
    files = {"preference": write_pairs(folder / "pairs.jsonl"), "kto": write_judged(folder / "judged.jsonl")}

    def run(name: str, case: str, **changes: Any) -> Run:
        method = {f"method__{key}": value for key, value in CASES[case].items()}
        data = files["kto" if CASES[case]["objective"] == "kto" else "preference"]
        rate = 1e-3 if CASES[case]["name"] == "full" else 5e-3
        usual = {"training__learning_rate": rate, "method__dropout": 0.0, "training__max_steps": 8}
        return make_run(name, data__source=str(data), **{**usual, **method, **changes})

    return run


@pytest.fixture(scope="module")
def carried(make: RunFactory) -> dict[str, Carried]:
    return OnDemand(lambda case: make(f"whole-{case}", case))


@pytest.mark.parametrize("case", TRIED)
def test_margins_rise_on_rows_that_were_held_out(carried: dict[str, Carried], case: str) -> None:
    done = carried[case]
    assert done.code == 0, done.of("error")
    first, last = done.of("eval")[0], done.of("eval")[-1]
    assert last["margin"] > first["margin"]
    assert last["loss"] < first["loss"]
    assert "perplexity" not in last
    steps = done.of("step")
    assert len(steps) == 8
    assert all(math.isfinite(event["reward_chosen"]) for event in steps if "reward_chosen" in event)
    assert ("kl" in last) == case.startswith("kto")
    assert ("accuracy" in last) == (not case.startswith("kto"))


@pytest.mark.parametrize("case", TRIED)
def test_a_resumed_run_is_the_same_run(carried: dict[str, Carried], case: str) -> None:
    """Bit by bit; a full fine-tune goes on from its own weights and must still compare with the base."""
    whole = carried[case]
    run = copy_until(whole, f"resumed-{case}", 4)
    again = carry(run, resume=True)
    assert again.code == 0, again.of("error")
    assert again.steps == whole.steps
    assert again.weights() == whole.weights()
    kept = [{key: value for key, value in event.items() if key not in ("seq", "t", "mono", "seconds")}
            for event in whole.of("eval")[-1:] + again.of("eval")[-1:]]  # fmt: skip
    assert kept[0] == kept[1]


def test_a_resumed_run_computes_a_lost_reference_anew(carried: dict[str, Carried]) -> None:
    whole = carried["dpo-full-precomputed"]
    run = copy_until(whole, "resumed-lost", 4)
    (run.path / "reference.json").unlink()
    again = carry(run, resume=True)
    assert again.weights() == whole.weights()


@pytest.mark.long
def test_a_reference_beside_and_one_computed_before_give_the_same_run(carried: dict[str, Carried]) -> None:
    beside, before = carried["dpo-full"], carried["dpo-full-precomputed"]
    for one, other in zip(beside.of("step"), before.of("step"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)


def test_the_first_loss_is_that_of_an_untrained_model(carried: dict[str, Carried]) -> None:
    """Nothing is preferred yet: DPO begins at ln 2, KTO at one half."""
    assert carried["dpo-lora"].of("step")[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert carried["dpo-full-precomputed"].of("step")[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    kto = carried["kto-lora"].of("step")[0]["loss"]
    weight = next(event for event in carried["kto-lora"].of("warning") if "counts" in event["what"])
    assert "26" in weight["what"] or "bad" in weight["what"]
    assert 0.3 < kto < 0.6


def memory_runs_out(monkeypatch: pytest.MonkeyPatch, above_rows: int) -> None:
    """Let every training pass with more rows (or pairs) than that fail, with a part of its gradient left behind."""
    import torch

    from engine.train.dataset import rows_of
    from engine.train.preference import Preferring

    before = Preferring.compute_loss

    def compute_loss(self: Any, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        loss = before(self, model, inputs, *rest, **named)
        if rows_of(inputs) > above_rows and model.training:
            loss.backward()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return loss

    monkeypatch.setattr(Preferring, "compute_loss", compute_loss)


@pytest.mark.parametrize("case", ["dpo-lora", pytest.param("dpo-full-precomputed", marks=pytest.mark.long)])
def test_cut_micro_batches_give_the_same_steps(make: RunFactory, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Pairs go one by one, and the gradient stays that of the whole effective batch."""
    whole = carry(make(f"uncut-{case}", case, training__max_steps=3))
    memory_runs_out(monkeypatch, above_rows=1)
    pieces = carry(make(f"cut-{case}", case, training__max_steps=3))
    assert pieces.of("oom")[-1]["parts"] >= 3
    for one, other in zip(whole.of("step"), pieces.of("step"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
        assert one["tokens"] == other["tokens"]


@pytest.mark.parametrize("case", ["kto-lora", "orpo-lora"])
def test_where_cut_micro_batches_are_not_the_same_what_differs_is_said(
    make: RunFactory, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    memory_runs_out(monkeypatch, above_rows=2)
    run = carry(make(f"cut-{case}", case, training__max_steps=2))
    assert run.code == 0, run.of("error")
    assert "fewer rows" in run.of("oom")[-1]["detail"]


def test_memory_stays_below_the_estimate(carried: dict[str, Carried]) -> None:
    for case in ("dpo-lora", "kto-lora", "orpo-lora"):
        rehearsal = carried[case].of("rehearsal")[0]
        measured = rehearsal["allocated_bytes"] - rehearsal["baseline_bytes"]
        assert measured < rehearsal["estimate_bytes"] + (64 << 20), case


def test_the_result_holds_only_the_trained_adapter(carried: dict[str, Carried]) -> None:
    names = {path.name for path in (carried["dpo-lora"].run.result_dir / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= names
    assert "ref" not in names


def test_training_goes_on_from_an_adapter_which_is_then_the_reference(
    carried: dict[str, Carried], make: RunFactory
) -> None:
    adapter = carried["dpo-lora"].run.result_dir / "adapter"
    again = carry(make("onwards", "dpo-lora", model__source=str(adapter), training__max_steps=2))
    assert again.code == 0, again.of("error")
    assert again.of("step")[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert not (again.run.result_dir / "adapter" / "ref").exists()


def rows_of(recipe: Recipe, model: Path) -> list[Rendered]:
    prepared = load_examples(recipe, model)
    prepared.renderer.close()
    return prepared.train


def test_a_pair_is_one_question_with_two_answers(make: RunFactory, tiny_model: Path) -> None:
    row = rows_of(make("pair", "dpo-lora").recipe(), tiny_model)[0]
    assert row.rejected is not None
    begin = next(place for place, label in enumerate(row.labels) if label != -100)
    assert row.input_ids[:begin] == row.rejected.input_ids[:begin]
    assert row.text != row.rejected.text
    assert "I do not know" in row.rejected.text


def test_answers_marked_bad_are_learned_from_as_bad(make: RunFactory, tiny_model: Path) -> None:
    rows = rows_of(make("judged", "kto-lora").recipe(), tiny_model)
    assert {row.good for row in rows} == {True, False}
    assert all(("I do not know" in row.text) != row.good for row in rows)


@pytest.mark.parametrize(
    ("case", "changes", "words"),
    [
        ("dpo-lora", {"method__objective": "kto"}, "needs rows in the format kto"),
        ("kto-lora", {"method__objective": "dpo"}, "needs rows in the format preference"),
        ("dpo-lora", {"training__packing": True}, "cannot be packed"),
        ("kto-lora", {"training__micro_batch_size": 1}, "too few"),
        ("dpo-lora", {"training__neftune_alpha": 5.0}, "would disturb"),
        ("orpo-lora", {"evaluation__general": __file__}, "no general text"),
    ],
)
def test_what_cannot_be_is_said(
    make: RunFactory, tiny_model: Path, case: str, changes: dict[str, Any], words: str
) -> None:
    run = make(f"refused-{case}-{words.replace(' ', '-')}".lower(), case, **changes)
    with pytest.raises(UserError) as caught:
        load_examples(run.recipe(), tiny_model)
    assert words in str(caught.value)
    assert caught.value.fix
