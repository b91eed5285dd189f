"""`tunewright adapters` over a stand-in for its job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tui import runs
from tui import cli
from tui.verbs import adapters

ADAPTER = {
    "run": "one", "directory": "/r/one/result/adapter", "base": "owner/base", "method": "lora", "rank": 16, "alpha": 32,
    "targets": ["k_proj", "q_proj"], "bytes": 7_000_000, "steps": 10,
    "measured": {"name": "exact_match", "value": 0.75},
    "commands": [["vllm", "serve", "/models/my base", "--enable-lora"]],
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """Requests that the job got."""
    found: list[dict[str, Any]] = []

    def run_job(name: str, request: dict[str, Any], on_progress: Any = None) -> dict[str, Any]:
        assert name == "adapters"
        found.append(request)
        if "combine" in request:
            return {"out": request["out"], "base": "owner/base", "rank": 24, "bytes": 9_000_000}
        listed = [ADAPTER, {**ADAPTER, "run": "two", "measured": {}}]
        return {"adapters": [one for one in listed if one["run"] in {Path(path).name for path in request["runs"]}]}

    monkeypatch.setattr(adapters, "run_job", run_job)
    monkeypatch.setattr(adapters, "require_training_packages", lambda: None)
    for name in ("one", "two"):
        runs.finished(tmp_path, name=name)
    return found


def words(folder: Path, *rest: str) -> list[str]:
    return ["adapters", *rest, "--runs", str(folder)]


def test_adapters_are_listed_with_what_was_measured(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "exact match 0.75" in out and "tunewright eval measures it" in out
    assert {Path(path).name for path in asked[0]["runs"]} == {"one", "two"}
    assert cli.main(words(tmp_path, "--json")) == 0
    assert len(json.loads(capsys.readouterr().out)["adapters"]) == 2


def test_one_adapter_says_how_to_serve_it(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words(tmp_path, "one")) == 0
    assert "vllm serve '/models/my base' --enable-lora" in capsys.readouterr().out
    assert cli.main(words(tmp_path, "three")) == 2
    assert "There is no run called three" in capsys.readouterr().err
    runs.finished(tmp_path, name="three")
    assert cli.main(words(tmp_path, "three")) == 2
    assert "The run 'three' has no adapter" in capsys.readouterr().err


def test_a_combination_is_passed_on(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "both")
    assert cli.main(words(tmp_path, "--combine", "one", "two=0.5", "--out", out)) == 0
    assert asked == [{"combine": {str(tmp_path / "one"): 1.0, str(tmp_path / "two"): 0.5}, "out": out}]
    assert "both" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rest", "said"),
    [(["--combine", "one", "nobody", "--out", "x"], "nobody"), (["--combine", "one", "two=much", "--out", "x"], "much"),
     (["--combine", "one", "two"], "--out")],
)  # fmt: skip
def test_wrong_combinations_are_refused(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], rest: list[str], said: str
) -> None:
    assert cli.main(words(tmp_path, *rest)) == 2
    assert said in capsys.readouterr().err and not asked
