"""The demo without a screen, with the real engine: a plan, a training, a measurement and a comparison."""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from engine.runs.store import create_run, open_run
from tests.conftest import PROJECT
from tests.pty import fake_engine
from tui.verbs import demo


def test_the_run_gets_a_name_that_is_free(tmp_path: Path) -> None:
    create_run(fake_engine.recipe(), tmp_path, "demo")
    answers = demo._answers(Namespace(runs=str(tmp_path)))
    assert answers.text("run.name") == "demo-2" and answers.text("run.directory") == str(tmp_path)
    assert answers.path is None, "the demo never takes the place of unfinished answers"


@pytest.mark.long
def test_the_demo_teaches_what_the_base_cannot_do(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training packages are not installed")
    ended = subprocess.run([sys.executable, "-m", "tui", "demo", "--no-input", "--runs", str(tmp_path)],
                           capture_output=True, text=True, cwd=PROJECT, timeout=900)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    line = next(line for line in ended.stdout.splitlines() if line.startswith("exact match"))
    base, tuned = (float(share) for share in re.findall(r"([\d.]+)%", line))
    assert base < 5 and tuned > 90, line
    assert "base" in ended.stdout.rpartition("answered by both")[2]
    assert (open_run("demo", tmp_path).result_dir / "result.json").is_file()
