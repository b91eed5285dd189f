"""Full fine-tuning, LoRA and QLoRA: they learn, they go on exactly where they stopped, and leave a whole result."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.engine.train.carried import Carried, RunFactory, carry, copy_until

METHODS = ("full", "lora", "qlora")


@pytest.fixture(scope="module")
def carried(make_run: RunFactory) -> dict[str, Carried]:
    """One undisturbed run of each method, with dropout, accumulation, evaluation and a second epoch begun."""
    return {name: carry(make_run(f"whole-{name}", method__name=name)) for name in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls_and_the_run_finishes(carried: dict[str, Carried], method: str) -> None:
    done = carried[method]
    losses = [event["loss"] for event in done.of("step")]
    assert done.code == 0
    assert len(losses) == 12
    assert sum(losses[-3:]) / 3 < 0.95 * losses[0]
    assert done.of("end")[-1]["reason"] == "finished"
    assert done.run.state()["stop_reason"] == "finished"


@pytest.mark.parametrize("method", METHODS)
def test_events_are_whole(carried: dict[str, Carried], method: str) -> None:
    done = carried[method]
    sequence = [event["seq"] for event in done.events]
    assert sequence == list(range(1, len(sequence) + 1))
    phases = [event["phase"] for event in done.of("phase")]
    order = ("reading data", "loading model", "rehearsal", "training", "evaluating", "saving", "exporting", "done")
    assert [phases.index(name) for name in order[:4]] == [0, 1, 2, 3]
    assert set(order) == set(phases)
    last = done.of("step")[-1]
    assert last["tokens"] > last["trained_tokens"] > 0
    assert last["mem"] > 0
    assert last["seconds"] > 0
    assert last["total_steps"] == 12
    assert [event["step"] for event in done.of("eval")] == [4, 8, 12]
    assert all(math.isclose(event["perplexity"], math.exp(event["loss"])) for event in done.of("eval"))
    assert [event["step"] for event in done.of("checkpoint")] == [4, 8, 12]
    rehearsal = done.of("rehearsal")[0]
    assert rehearsal["rows"] == 3
    assert rehearsal["allocated_bytes"] > rehearsal["baseline_bytes"] > 1_000_000
    assert rehearsal["estimate_bytes"] > 100_000


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [4, 8])
def test_a_resumed_run_is_the_same_run(carried: dict[str, Carried], method: str, step: int) -> None:
    """Loss, gradient norm, learning rate, token count and final weights, bit by bit; step 8 lies in the last epoch."""
    whole = carried[method]
    again = carry(copy_until(whole, f"resumed-{method}-{step}", step), resume=True)
    assert again.code == 0
    assert again.of("rewind")[-1]["step"] == step
    done_again = [event["step"] for event in again.of("step")][12:]
    assert done_again == list(range(step + 1, 13))
    assert again.steps == whole.steps
    assert again.weights() == whole.weights()


@pytest.mark.parametrize("method", METHODS)
def test_evaluation_changes_nothing(carried: dict[str, Carried], make_run: RunFactory, method: str) -> None:
    """bitsandbytes repacks 4-bit weights when it evaluates on a CPU and then computes wrong gradients; not here."""
    blind = carry(make_run(f"blind-{method}", method__name=method, evaluation__every_steps=1000, evaluation__samples=0))
    assert [event["step"] for event in blind.of("eval")] == [12]
    assert blind.steps == carried[method].steps
    assert blind.weights() == carried[method].weights()


@pytest.mark.parametrize("method", METHODS)
def test_the_result_opens_without_us(carried: dict[str, Carried], method: str) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = carried[method]
    folder = done.run.result_dir
    facts: dict[str, Any] = json.loads((folder / "result.json").read_text())
    assert (facts["method"], facts["steps"], facts["complete"], facts["template"]) == (method, 12, True, "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == (folder / "chat_template.jinja").read_text()
    if method == "full":
        model = AutoModelForCausalLM.from_pretrained(folder / "model")
    else:
        base = AutoModelForCausalLM.from_pretrained(facts["base_directory"], dtype=torch.float32)
        model = PeftModel.from_pretrained(base, folder / "adapter")
    ids = torch.tensor([tokenizer("I want 2 red lamps.")["input_ids"]])
    assert bool(torch.isfinite(model(input_ids=ids).logits).all())
    names = {path.name for path in folder.rglob("*")}
    assert not names & {"training_args.bin", "optimizer.pt", "README.md", "MANIFEST.json"}


def test_nobody_else_can_read_a_run(carried: dict[str, Carried]) -> None:
    for path in [carried["lora"].run.path, *carried["lora"].run.path.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_no_checkpoint_holds_a_pickle(carried: dict[str, Carried]) -> None:
    import torch
    from transformers.trainer_pt_utils import safe_globals

    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        path = carried["full"].run.checkpoints_dir / "step-00000008" / name
        with safe_globals():
            torch.load(path, weights_only=True)
    assert not list(carried["full"].run.path.rglob("training_args.bin"))


def test_packing_resumes_the_same(make_run: RunFactory) -> None:
    whole = carry(make_run("packed", training__packing=True, training__micro_batch_size=1, training__max_steps=8))
    assert whole.code == 0
    again = carry(copy_until(whole, "packed-again", 4), resume=True)
    assert again.steps == whole.steps
    assert again.weights() == whole.weights()
