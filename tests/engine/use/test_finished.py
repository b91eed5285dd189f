"""What a result must have before anything heavy is loaded, and directories that appear whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.runs.store import Run, create_run
from engine.use.finished import open_result
from engine.use.staging import MARK, check_room, staged


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished LoRA run without a real model."""
    numpy = pytest.importorskip("numpy")
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    answers = {"model.source": str(base), "data.source": str(tmp_path / "rows.jsonl"), "method.name": "lora"}
    made = create_run(
        Recipe.from_answers({key: Answer(value, "you", "") for key, value in answers.items()}), tmp_path, "done"
    )
    adapter = made.result_dir / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    save_file({"a": numpy.zeros((4, 4), dtype="float32")}, adapter / "adapter_model.safetensors")
    facts = {"method": "lora", "base_directory": str(base), "template": "plain", "format": "messages", "steps": 3}
    (made.result_dir / "result.json").write_text(json.dumps(facts))
    return made


def test_a_whole_result_is_described(run: Run) -> None:
    result = open_result(run.path)
    assert (result.method, result.template, result.format, result.steps) == ("lora", "plain", "messages", 3)
    assert result.weights == run.result_dir / "adapter"


def test_no_run_and_no_result(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        open_result(tmp_path / "nothing")
    (run.result_dir / "result.json").unlink()
    with pytest.raises(UserError, match="no result yet") as caught:
        open_result(run.path)
    assert "attach done" in caught.value.fix


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(run: Run, name: str) -> None:
    (run.result_dir / "adapter" / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        open_result(run.path)


@pytest.mark.parametrize("cut", [0, 4, 20, -1])
def test_torn_weights_are_seen(run: Run, cut: int) -> None:
    path = run.result_dir / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match="damaged"):
        open_result(run.path)


def test_a_base_that_is_gone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "base" / "config.json").unlink()
    with pytest.raises(UserError, match="no longer where it was"):
        open_result(run.path)


def test_a_full_disk_is_seen_before_work_begins(tmp_path: Path) -> None:
    check_room(tmp_path / "not" / "yet", 1)
    with pytest.raises(UserError, match="disk has"):
        check_room(tmp_path / "not" / "yet", 10**18)


def test_a_staged_directory_replaces_an_older_export_only(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for text in ("one", "two"):
        with staged(target) as stage:
            (stage / MARK).write_text('{"kind": "test"}')
            (stage / "file").write_text(text)
            assert not (target / "file").exists() or (target / "file").read_text() == "one"
    assert (target / "file").read_text() == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    (target / MARK).unlink()
    with pytest.raises(UserError, match="not an export"), staged(target):
        pass
    assert (target / "file").read_text() == "two"


def test_two_exports_do_not_write_the_same_folder(tmp_path: Path) -> None:
    with staged(tmp_path / "out"), pytest.raises(UserError, match="Another export"), staged(tmp_path / "out"):
        pass


KILLED = """
import os, sys
from pathlib import Path
from engine.use.staging import MARK, staged
with staged(Path(sys.argv[1])) as stage:
    (stage / "weights").write_text("half")
    (stage / MARK).write_text('{"kind": "test"}')
    os.kill(os.getpid(), 9)
"""


def test_a_killed_export_leaves_no_output_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    target = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(target)], env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=False
    )
    assert done.returncode == -9
    assert not target.exists()
    with staged(target) as stage:
        assert list(stage.iterdir()) == []
        (stage / MARK).write_text('{"kind": "test"}')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_an_export_that_was_moved_aside_comes_back(tmp_path: Path) -> None:
    target, old = tmp_path / "out", tmp_path / ".out.old"
    old.mkdir()
    (old / MARK).write_text('{"kind": "test"}')
    with pytest.raises(RuntimeError), staged(target):
        raise RuntimeError
    assert (target / MARK).is_file()


def test_an_output_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), staged(tmp_path / "file" / "out"):
        pass


def test_a_disk_that_fills_up_is_said_however_the_library_says_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No space left") as caught, staged(tmp_path / "out"):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert "Make room" in caught.value.fix
    assert list(tmp_path.iterdir()) == []
