"""The long tier as tests: `pytest -m long tests/chaos`. `python -m tests.chaos` prints the same as tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import kills, resuming, shim
from tests.chaos.rig import Workshop
from tests.engine.train.carried import Carried

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("chaos")]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    import engine.train.phases  # noqa: F401  (imported once here, so that forked children have it)

    return Workshop.build(tmp_path_factory.mktemp("chaos"))


@pytest.mark.parametrize(("method", "aimed", "count"), [
    ("lora", True, 100), ("full", True, 100), ("lora", False, 50), ("full", False, 50)])  # fmt: skip
def test_three_hundred_kills(workshop: Workshop, method: str, aimed: bool, count: int) -> None:
    tally = kills.kill_ours(workshop, method, count, aimed, seed=1)
    assert (tally.dead, tally.other) == (0, 0), tally.line()


@pytest.mark.parametrize("name", resuming.CONFIGURATIONS)
def test_resuming_from_every_step(workshop: Workshop, name: str) -> None:
    number = list(resuming.CONFIGURATIONS).index(name)
    assert resuming.from_every_step(workshop, name, number) == (11, [])


@pytest.mark.skipif(not shim.can_compile(), reason="no C compiler to build the fault shim with")
@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_operation_of_a_save(tmp_path: Path, method: str) -> None:
    report = shim.bench_saves(tmp_path, 1, [method])[method]
    for name in ("kill", "no room", "one error", "power"):
        found = report[name]["outcomes"] if name == "kill" else report[name]
        assert set(found) <= {"ok", "not reached"}, (name, found)


OUT_OF_MEMORY = """
import os, sys, torch
from engine.train.trainer import RunTrainer
before = RunTrainer.compute_loss
def compute_loss(self, model, inputs, *rest, **named):
    if self.is_in_train and self.state.global_step >= 5:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return before(self, model, inputs, *rest, **named)
RunTrainer.compute_loss = compute_loss
from engine.__main__ import main
sys.exit(main(["train", sys.argv[1]]))
"""


def test_an_engine_that_starts_afresh_finishes(workshop: Workshop) -> None:
    """Memory runs out for good in the first process; the one that it becomes goes on from its checkpoint."""
    run = workshop.run("afresh")
    environment = {**os.environ, "PYTHONPATH": str(shim.PROJECT), "OMP_NUM_THREADS": "1"}
    code = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY, str(run.path)], env=environment, check=False).returncode
    assert code == 0, run.log_path.read_text()[-2000:]
    said = Carried(run)
    assert [event["step"] for event in said.of("checkpoint")] == [3, 5, 6, 9, 12]
    assert sorted(said.steps) == list(range(1, 13))
    assert len(said.of("step")) == 12
    assert [event["kind"] for event in said.of("warning") if event["kind"] == "restart"] == ["restart"]
