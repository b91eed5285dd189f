"""The same run by Unsloth and by plain TRL. The long tier; needs $TUNEWRIGHT_UNSLOTH_PYTHON, an interpreter with it.

It has an environment of its own, since it pins other versions of transformers and trl than this program.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.runs.control import request
from engine.runs.liveness import liveness
from engine.runs.process import launch
from engine.runs.unsloth_place import VARIABLE
from tests.engine.train.carried import Carried

PYTHON = os.environ.get(VARIABLE, "")
pytest.importorskip("torch")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PYTHON, reason=f"{VARIABLE} names no interpreter with Unsloth"),
    pytest.mark.xdist_group("torch-unsloth"),
]


def wait(run: Any) -> None:
    """Until nobody works on the run any more; the engine is a child of ours."""
    from engine.runs import process

    for child in process._children:
        child.wait(300)
    assert not liveness(run).alive


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PYTHON)


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_losses_equal_those_of_plain_trl(make_run: Any, method: str) -> None:
    runs = {}
    for backend in ("trl", "unsloth"):
        run = make_run(f"{method}-{backend}", method__name=method, method__backend=backend, training__max_steps=6)
        launch(run)
        wait(run)
        runs[backend] = Carried(run)
        assert run.state()["stop_reason"] == "finished", run.log_path.read_text()[-2000:]
    assert "Unsloth" in (runs["unsloth"].run.log_path).read_text()
    losses = {backend: [event["loss"] for event in carried.of("step")] for backend, carried in runs.items()}
    assert len(losses["trl"]) == 6
    assert losses["unsloth"] == pytest.approx(losses["trl"], rel=5e-4)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(make_run: Any) -> None:
    whole = make_run("whole", method__backend="unsloth", training__max_steps=12)
    launch(whole)
    wait(whole)
    parts = make_run("parts", method__backend="unsloth", training__max_steps=12)
    request(parts, "stop")  # waits for the engine and is obeyed after the first step
    launch(parts)
    wait(parts)
    assert parts.state()["stop_reason"] == "stopped"
    launch(parts, resume=True)
    wait(parts)
    assert parts.state()["stop_reason"] == "finished"
    losses = [{event["step"]: event["loss"] for event in Carried(run).of("step")} for run in (whole, parts)]
    assert losses[0] == losses[1] and len(losses[0]) == 12


def test_the_other_environment_sees_none_of_our_libraries(tmp_path: Path) -> None:
    from engine.runs.unsloth_place import import_path

    code = "import engine, transformers; print(transformers.__version__, transformers.__file__)"
    done = subprocess.run([PYTHON, "-P", "-c", code], env={**os.environ, "PYTHONPATH": import_path()},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert Path(PYTHON).parent.parent.name in done.stdout and sys.prefix not in done.stdout
