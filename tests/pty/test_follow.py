"""The whole way with the real engine and the small demo model: start, leave by Ctrl-C, hang up, find again, stop."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engine.runs.liveness import liveness
from engine.runs.signals import kill_engine
from engine.runs.store import Run
from tests.conftest import PROJECT
from tests.terminal import Terminal
from tui import cli

pytest.importorskip("torch", reason="training packages are not installed")


def test_a_run_outlives_the_terminal_that_started_it(
    tmp_path: Path, demo_model: Path, demo_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "runs"
    settings = {"training.max_steps": 5000, "evaluation.held_out_rows": 0, "training.epochs": 500}
    command = [sys.executable, "-m", "tui", "train", "--model", str(demo_model), "--data", str(demo_data), "--follow",
               "--name", "real", "--runs", str(root), "--method", "lora",
               *(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))]  # fmt: skip
    run = Run(root / "real")
    try:
        with Terminal(command, 100, 30, directory=PROJECT) as terminal:
            terminal.wait_for("step ", seconds=90)
            terminal.send("ctrl+c")
            assert terminal.wait(10) == 130
            assert "The run goes on" in terminal.text()
        engine = liveness(run)
        assert engine.alive and os.getsid(engine.pid) == engine.pid, "the engine has a session of its own"
        assert Path(f"/proc/{engine.pid}/fd/0").readlink() == Path("/dev/null")
        viewer = [sys.executable, "-m", "tui", "attach", "real", "--runs", str(root)]
        with Terminal(viewer, 80, 24, directory=PROJECT) as terminal:
            terminal.wait_for("real")
            terminal.hang_up()
            assert terminal.wait(5) is not None
        assert liveness(run).pid == engine.pid
        assert cli.main(["stop", "real", "--runs", str(root), "--wait", "60"]) == 0
        assert "resume" in capsys.readouterr().out
        assert liveness(run).state == "stopped"
        assert any(run.checkpoints_dir.glob("step-*/MANIFEST.json"))
    finally:
        kill_engine(run)
