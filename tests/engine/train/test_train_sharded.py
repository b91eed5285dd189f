"""A model divided between two processes (FSDP2) on the CPU: trained, saved whole, gone on with by any number."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest
import torch

from engine.errors import UserError
from engine.plan.devices import check_devices
from tests.engine.train.carried import Carried, RunFactory, carry, copy_until
from tests.engine.train.test_train_several import SHARED, assert_same, ended, start

DIVIDED = {**SHARED, "method__name": "full", "training__devices": 2, "training__sharding": "fsdp2"}
CLOSE = 5e-5
"""Also the norm of the gradient is a sum over shards here; measured: 6e-6 in norms, 8e-6 in weights of about one."""


def test_a_divided_model_learns_what_a_whole_one_does_and_one_process_goes_on(make_run: RunFactory) -> None:
    one = carry(make_run("whole", **{**DIVIDED, "training__devices": 1}))
    run = make_run("divided", **DIVIDED)
    start(run)
    two = ended(run)
    assert run.state()["stop_reason"] == "finished", run.log_path.read_text()[-2000:]
    assert_same(one, two, CLOSE)
    held = re.findall(r"holds (\d+) of (\d+) weights", run.log_path.read_text())
    assert len(held) == 2
    assert all(0.4 < int(own) / int(whole) < 0.6 for own, whole in held)
    name = "checkpoints/step-00000006/optimizer.pt"
    before, after = (torch.load(done.run.path / name, weights_only=True) for done in (one, two))
    assert before["param_groups"] == after["param_groups"]
    assert all(torch.allclose(before["state"][index][key], after["state"][index][key], atol=1e-5)
               for index in before["state"] for key in ("exp_avg", "exp_avg_sq"))  # fmt: skip
    again = copy_until(two, "undivided", 6)
    again.recipe().changed({"training.devices": 1}, "you", "").save(again.recipe_path)
    assert_same(one, carry(again, resume=True), CLOSE)


@pytest.mark.long
def test_a_death_ends_a_divided_run_and_both_go_on(make_run: RunFactory) -> None:
    shared = {**DIVIDED, "training__max_steps": 60, "training__epochs": 60, "evaluation__every_steps": 30}
    one = carry(make_run("long-whole", **{**shared, "training__devices": 1}))
    run = make_run("long-divided", **shared)
    _, _, other = start(run, steps=5)
    os.kill(other, signal.SIGKILL)
    assert "was ended by SIGKILL" in ended(run).of("error")[-1]["what"]
    processes = start(run, steps=Carried(run).of("checkpoint")[-1]["step"] + 2, resume=True)
    os.kill(processes[0], signal.SIGTERM)
    assert "saved at step" in ended(run).of("end")[-1]["detail"]
    start(run, resume=True)
    assert_same(one, ended(run), close=5e-2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method__name": "lora"}, "fsdp2 divides full fine-tuning only"),
        ({"training__optimizer": "adamw_8bit"}, "8-bit optimizer"),
        ({"training__precision": "fp16"}, "fp16 needs its loss scaled"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_a_reason(
    make_run: RunFactory, changes: dict[str, Any], words: str
) -> None:
    recipe = make_run(f"refused-{len(words)}", **{**DIVIDED, **changes}).recipe()
    with pytest.raises(UserError, match=words):
        check_devices(recipe, 2)
