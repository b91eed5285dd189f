"""Memory that really runs out on a GPU: another tensor takes what was free in the middle of a run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.chaos import shim
from tests.chaos.rig import Workshop
from tests.engine.train.carried import Carried

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("chaos")]

BALLAST = """
import sys, torch
from engine.train.trainer import RunTrainer
before, held = RunTrainer.compute_loss, []
def compute_loss(self, model, inputs, *rest, **named):
    if self.is_in_train and self.state.global_step == 5 and not held:
        kept = torch.cuda.memory_allocated()
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        left = int((peak - kept) * float(sys.argv[2])) + (8 << 20)
        held.append(torch.empty(max(0, free - left), dtype=torch.uint8, device="cuda"))
    return before(self, model, inputs, *rest, **named)
RunTrainer.compute_loss = compute_loss
from engine.__main__ import main
sys.exit(main(["train", sys.argv[1]]))
"""


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    if not _has_gpu():
        pytest.skip("no CUDA GPU: memory cannot run out on one")
    return Workshop.build(tmp_path_factory.mktemp("gpu"))


@pytest.mark.parametrize("share", [0.6, 0.02], ids=["half fits", "nothing fits"])
def test_a_gpu_that_is_taken_away(workshop: Workshop, share: float) -> None:
    """With room for half a micro-batch it is halved; without any the engine starts afresh, and the ballast is gone."""
    run = workshop.run(f"ballast-{share}", training__micro_batch_size=32, training__gradient_accumulation_steps=1,
                       training__epochs=20.0, training__sequence_length=512)  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(shim.PROJECT)}
    command = [sys.executable, "-c", BALLAST, str(run.path), str(share)]
    code = subprocess.run(command, env=environment, check=False, timeout=600).returncode
    assert code == 0, run.log_path.read_text()[-3000:]
    said = Carried(run)
    assert said.of("oom"), "memory did not run out: the ballast was too small"
    assert said.of("oom")[0]["step"] == 6
    assert sorted(said.steps) == list(range(1, 13))
    assert len(said.of("step")) == 12, "no step is counted twice"
    restarted = [event for event in said.of("warning") if event.get("kind") == "restart"]
    assert bool(restarted) is (share < 0.1)
