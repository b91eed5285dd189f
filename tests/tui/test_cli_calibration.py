"""`plan --calibration`, with the simulation's job replaced by a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from tests.engine.plan.test_calibration import GPU, make_run
from tui import cli


def run(*words: str) -> int:
    return cli.main(["plan", "--calibration", *words])


def answer(name: str, request: dict[str, Any]) -> dict[str, Any]:
    assert name == "simulate" and request["device"] == "cuda"
    return {"memory": {"allocated_bytes": 5_050}}


def test_every_run_is_simulated_once_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_run(tmp_path, GPU)
    monkeypatch.setattr("tui.verbs.calibration.run_job", answer)
    assert run("--runs", str(made.path.parent), "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["runs"]
    assert one["measured_bytes"] == 5_000 and one["simulation_bytes"] == 5_050
    monkeypatch.setattr("tui.verbs.calibration.run_job", None)  # a second call would fail
    assert run("--runs", str(made.path.parent)) == 0
    assert "+1.0 %" in capsys.readouterr().out


def test_what_cannot_be_simulated_leaves_a_gap_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(name: str, request: dict[str, Any]) -> dict[str, Any]:
        raise UserError("The model is gone.", "", "")

    made = make_run(tmp_path, GPU)
    monkeypatch.setattr("tui.verbs.calibration.run_job", refuse)
    assert run("--runs", str(made.path.parent)) == 0
    told = capsys.readouterr()
    assert "+2.0 %" in told.out and "The model is gone." in told.err


def test_no_run_yet_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--runs", str(tmp_path)) == 0
    assert "No run" in capsys.readouterr().out
