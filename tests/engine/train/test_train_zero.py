"""A model divided by DeepSpeed (ZeRO-2 and ZeRO-3) between two processes on the CPU: trained, saved whole, gone on with
by any number, also of another kind."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest
import torch

from engine.machine.packages import has_deepspeed
from tests.engine.train.carried import Carried, RunFactory, carry, copy_until
from tests.engine.train.test_train_several import SHARED, assert_same, ended, start

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not has_deepspeed(), reason="DeepSpeed is not installed here"),
]
CLOSE = 5e-5
"""Also the norm of the gradient is a sum over parts here."""


def shared(method: str, sharding: str, **changes: Any) -> dict[str, Any]:
    return {**SHARED, "method__name": method, "training__devices": 2, "training__sharding": sharding, **changes}


@pytest.mark.parametrize(
    ("method", "sharding"),
    [("full", "zero2"), ("full", "zero3"), ("lora", "zero2"), ("lora", "zero3"), ("qlora", "zero3")],
)  # fmt: skip
def test_a_divided_model_learns_what_a_whole_one_does_and_one_process_goes_on(
    make_run: RunFactory, method: str, sharding: str
) -> None:
    recipe = shared(method, sharding)
    alone = {**recipe, "training__devices": 1, "training__sharding": "none"}
    one = carry(make_run(f"whole-{method}-{sharding}", **alone))
    run = make_run(f"divided-{method}-{sharding}", **recipe)
    start(run)
    two = ended(run)
    log = run.log_path.read_text()
    assert run.state()["stop_reason"] == "finished", log[-2000:]
    assert_same(one, two, CLOSE)
    held = re.findall(r"ZeRO-(\d): this process holds (\d+) of (\d+) weights", log)
    share = 0.5 if sharding == "zero3" else 1.0
    assert [float(f"{int(own) / int(whole):.1f}") for _, own, whole in held] == [share, share]
    name = "checkpoints/step-00000006/optimizer.pt"
    before, after = (torch.load(done.run.path / name, weights_only=True) for done in (one, two))
    assert before["param_groups"] == after["param_groups"]
    assert all(torch.allclose(before["state"][index][key], after["state"][index][key], atol=1e-5)
               for index in before["state"] for key in ("exp_avg", "exp_avg_sq", "step"))  # fmt: skip
    again = copy_until(two, f"undivided-{method}-{sharding}", 6)
    again.recipe().changed({"training.devices": 1, "training.sharding": "none"}, "you", "").save(again.recipe_path)
    assert_same(one, carry(again, resume=True), CLOSE)


@pytest.mark.parametrize(("method", "sharding"), [("full", "zero3"), ("lora", "zero2")])
def test_a_death_and_a_stop_end_a_divided_run_and_it_goes_on(make_run: RunFactory, method: str, sharding: str) -> None:
    """Whoever goes on: the same way divided, with an odd number of processes, or otherwise divided."""
    recipe = shared(method, sharding, training__max_steps=60, training__epochs=60, evaluation__every_steps=30,
                    training__gradient_accumulation_steps=6)  # fmt: skip
    one = carry(make_run(f"long-whole-{method}", **{**recipe, "training__devices": 1, "training__sharding": "none"}))
    run = make_run(f"long-{method}", **recipe)
    _, _, other = start(run, steps=5)
    os.kill(other, signal.SIGKILL)
    assert "was ended by SIGKILL" in ended(run).of("error")[-1]["what"]
    run.recipe().changed({"training.devices": 3}, "you", "").save(run.recipe_path)
    processes = start(run, steps=Carried(run).of("checkpoint")[-1]["step"] + 2, resume=True)
    os.kill(processes[0], signal.SIGTERM)
    assert "saved at step" in ended(run).of("end")[-1]["detail"]
    otherwise = {"zero3": "fsdp2", "zero2": "zero3"}[sharding]
    run.recipe().changed({"training.devices": 2, "training.sharding": otherwise}, "you", "").save(run.recipe_path)
    start(run, resume=True)
    assert_same(one, ended(run), close=5e-2)


def test_16_bit_weights_go_on_from_their_copy_in_fp32(make_run: RunFactory) -> None:
    """Interrupted or not, the same: what 16 bits cannot hold is in the checkpoint as well."""
    recipe = shared("full", "zero3", training__precision="bf16")
    run = make_run("bf16", **recipe)
    start(run)
    whole = ended(run)
    again = copy_until(whole, "bf16-again", 6)
    state = torch.load(again.checkpoints_dir / "step-00000006" / "optimizer.pt", weights_only=True)["state"]
    assert all(values["master"].dtype == torch.float32 for values in state.values())
    start(again, resume=True)
    assert whole.steps == ended(again).steps
    assert whole.weights() == ended(again).weights()
