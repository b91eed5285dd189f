"""Preferences and classification by two processes (gloo): what one process learns they learn, curves and all."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.runs.store import Run
from tests.conftest import PROJECT
from tests.engine.train.carried import Carried, RunFactory, carry, copy_until
from tests.engine.train.material import COLORS, THINGS
from tests.engine.train.test_train_preference import write_judged, write_pairs
from tests.engine.train.test_train_several import assert_same, ended, start

# one step of twelve rows; of thirty-three rows the last step of an epoch has three micro-batches, so one row is blank
SHARED = {"method__dropout": 0.0, "training__micro_batch_size": 3, "training__gradient_accumulation_steps": 4,
          "evaluation__held_out_rows": 7, "evaluation__every_steps": 3, "checkpoints__every_steps": 3,
          "training__max_steps": 6}  # fmt: skip
FULL = {"method__name": "full", "training__learning_rate": 1e-3}
CASES: dict[str, dict[str, Any]] = {
    "dpo-lora": {"method__objective": "dpo"},
    "dpo-short": {"method__objective": "dpo", "training__max_steps": 3},
    "dpo-full": {"method__objective": "dpo", "method__reference": "precomputed", **FULL},
    "kto-lora": {"method__objective": "kto"},
    "orpo-lora": {"method__objective": "orpo"},
    "classify-lora": {"method__objective": "classify", "data__format": "classification"},
}
SHORT = "dpo-short"
CURVES = ("margin", "reward_chosen", "reward_rejected", "accuracy", "kl", "right_labels", "macro_f1")


def write_labelled(path: Path) -> Path:
    rows = [{"text": f"I want {n % 7} {COLORS[n % 6]} {THINGS[n % 3]}.", "label": THINGS[n % 3]} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def make(make_run: RunFactory, tmp_path_factory: pytest.TempPathFactory) -> RunFactory:
    folder = tmp_path_factory.mktemp("shared")
    pairs, judged = write_pairs(folder / "pairs.jsonl"), write_judged(folder / "judged.jsonl")
    data = {"kto": judged, "classify": write_labelled(folder / "labelled.jsonl")}

    def run(name: str, case: str, **changes: Any) -> Run:
        source = str(data.get(CASES[case]["method__objective"], pairs))
        return make_run(name, data__source=source, **{**SHARED, **CASES[case], **changes})

    return run


@pytest.fixture(scope="module")
def pair(make: RunFactory, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Carried, Carried]]:
    """Every case by one process and by two; the two carry out one run after the other."""
    one = {case: carry(make(f"{case}-one", case)) for case in CASES}
    two = {case: make(f"{case}-two", case, training__devices=2) for case in CASES}
    words = [f"{run.path}{'!short' if case == SHORT else ''}" for case, run in two.items()]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m",
               "tests.engine.train.ranks", *words]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    log = tmp_path_factory.mktemp("log") / "ranks.log"
    with log.open("w") as stream:
        done = subprocess.run(command, cwd=PROJECT, env=environment, stdout=stream, stderr=stream, timeout=300)
    assert done.returncode == 0, log.read_text()[-3000:]
    return {case: (one[case], Carried(run)) for case, run in two.items()}


def assert_same_curves(one: Carried, two: Carried, close: float) -> None:
    for kind in ("step", "eval"):
        for mine, theirs in zip(one.of(kind), two.of(kind), strict=True):
            own = {name: mine[name] for name in CURVES if name in mine}
            assert own == pytest.approx({name: theirs[name] for name in CURVES if name in theirs}, abs=close)


@pytest.mark.parametrize("case", [case for case in CASES if case != SHORT])
def test_two_processes_learn_what_one_does(pair: dict[str, tuple[Carried, Carried]], case: str) -> None:
    one, two = pair[case]
    assert_same(one, two, close=5e-6)
    assert_same_curves(one, two, close=1e-5)
    assert max(event["epoch"] for event in two.of("step")) > 1  # so that a blank row was there
    assert len(two.of("step")[-1]["device_mem"]) == len(two.of("rehearsal")[0]["devices"]) == 2
    assert {path.name for path in two.run.checkpoints_dir.iterdir()} == {"step-00000003", "step-00000006"}


def test_the_reference_is_read_in_shares_and_written_once(pair: dict[str, tuple[Carried, Carried]]) -> None:
    known = [json.loads((done.run.path / "reference.json").read_text()) for done in pair["dpo-full"]]
    assert known[0]["of"] == known[1]["of"]
    for part in ("train", "held_out"):
        for name, values in known[0]["columns"][part].items():
            assert values == pytest.approx(known[1]["columns"][part][name], abs=1e-4)


@pytest.mark.parametrize("case", ["dpo-full", "kto-lora"])
def test_one_process_goes_on_where_two_were(pair: dict[str, tuple[Carried, Carried]], case: str) -> None:
    one, two = pair[case]
    again = copy_until(two, f"{case}-again", 3)
    again.recipe().changed({"training.devices": 1}, "you", "").save(again.recipe_path)
    before = (again.path / "reference.json").stat().st_mtime_ns if case == "dpo-full" else 0
    assert_same(one, carry(again, resume=True), close=5e-6)
    assert not before or (again.path / "reference.json").stat().st_mtime_ns == before


def test_when_memory_runs_out_in_one_all_compare_fewer_at_once(pair: dict[str, tuple[Carried, Carried]]) -> None:
    one, two = pair[SHORT]
    assert [(event["step"], event["parts"]) for event in two.of("oom")] == [(2, 2)]
    assert_same(one, two, close=1e-4)
    assert_same_curves(one, two, close=0.1)  # of what is logged the mean is over pieces, whatever their rows


def test_a_death_ends_a_run_of_pairs_and_one_process_goes_on(make: RunFactory) -> None:
    """kill -9 of the second process, whose gradients and held-out rows the first waits for."""
    changes = {"training__max_steps": 40, "training__epochs": 40, "checkpoints__every_steps": 2,
               "evaluation__every_steps": 5}  # fmt: skip
    one = carry(make("pairs-one", "dpo-lora", **changes))
    run = make("pairs-two", "dpo-lora", training__devices=2, **changes)
    _, _, other = start(run, steps=3)
    os.kill(other, signal.SIGKILL)
    dead = ended(run)
    assert dead.of("end")[-1]["reason"] == "failed"
    assert f"Process 2 of 2 (pid {other}) was ended by SIGKILL" in dead.of("error")[-1]["what"]
    run.recipe().changed({"training.devices": 1}, "you", "").save(run.recipe_path)
    again = carry(run, resume=True)
    assert again.of("rewind")[-1]["step"] >= 2
    assert_same(one, again, close=1e-3)
    assert one.of("step")[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
