"""Checkpoints on disk: committed whole, verified byte by byte, found by step, pruned by step."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.train import checkpoint

FILES = {"weights.safetensors": b"w" * 4000, "optimizer.pt": b"o" * 9000, "sub/trainer_state.json": b'{"step": 1}'}
DAMAGES = ("missing", "empty", "half", "bit flip", "zeros", "swapped")


def write(root: Path, step: int, salt: bytes = b"") -> Path:
    staging = checkpoint.new_staging(root, step)
    for name, content in FILES.items():
        path = staging / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content + salt + str(step).encode())
    return checkpoint.commit(staging, root, step, {"recipe": {"a": step}})


def damage(path: Path, how: str, other: Path) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "half":
        path.write_bytes(content[: len(content) // 2])
    elif how == "bit flip":
        middle = len(content) * 2 // 3
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :])
    elif how == "zeros":
        path.write_bytes(bytes(len(content)))
    else:
        path.write_bytes(other.read_bytes())


def test_a_committed_checkpoint_verifies_and_carries_its_facts(tmp_path: Path) -> None:
    path = write(tmp_path, 100)
    assert path.name == "step-00000100"
    assert checkpoint.problems_of(path) == []
    found = checkpoint.find_verified(tmp_path).best
    assert found is not None
    assert (found.step, found.facts) == (100, {"recipe": {"a": 100}})


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", [*FILES, checkpoint.MANIFEST])
def test_every_kind_of_damage_is_found_and_the_one_before_is_used(tmp_path: Path, name: str, how: str) -> None:
    write(tmp_path, 10)
    newest = write(tmp_path, 20)
    damage(newest / name, how, tmp_path / "step-00000010" / name)
    search = checkpoint.find_verified(tmp_path)
    assert search.best is not None
    assert search.best.step == 10
    assert [label for label, _ in search.damaged] == ["step-00000020"]
    assert name in search.damaged[0][1]
    assert not newest.exists()
    assert any(path.name.startswith("bad-step-00000020") for path in tmp_path.iterdir())


def test_a_changed_manifest_is_no_manifest(tmp_path: Path) -> None:
    path = write(tmp_path, 7)
    manifest = json.loads((path / checkpoint.MANIFEST).read_text())
    manifest["facts"]["recipe"]["a"] = 8
    (path / checkpoint.MANIFEST).write_text(json.dumps(manifest, sort_keys=True, indent=1))
    assert checkpoint.problems_of(path) == [f"{checkpoint.MANIFEST}: damaged"]


def test_a_directory_under_a_wrong_step_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 5).rename(tmp_path / "step-00000009")
    assert checkpoint.find_verified(tmp_path, set_aside=False).best is None


def test_without_set_aside_nothing_is_touched(tmp_path: Path) -> None:
    path = write(tmp_path, 5)
    (path / "optimizer.pt").unlink()
    assert checkpoint.find_verified(tmp_path, set_aside=False).best is None
    assert path.exists()


def test_a_step_is_never_overwritten(tmp_path: Path) -> None:
    first = write(tmp_path, 5)
    with pytest.raises(FileExistsError):
        write(tmp_path, 5, salt=b"other")
    assert checkpoint.problems_of(first) == []


def test_half_written_ones_have_no_step_and_are_thrown_away(tmp_path: Path) -> None:
    write(tmp_path, 5)
    staging = checkpoint.new_staging(tmp_path, 6)
    (staging / "optimizer.pt").write_bytes(b"half")
    assert checkpoint.steps_on_disk(tmp_path) == [5]
    assert checkpoint.discard_staging(tmp_path) == [staging.name]
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


def test_pruning_goes_by_step_whatever_the_clock_says(tmp_path: Path) -> None:
    for number, step in enumerate((100, 9, 1000, 20)):
        os.utime(write(tmp_path, step), (10_000 - number, 10_000 - number))
    assert checkpoint.prune(tmp_path, keep=2, protected=[9]) == [20]
    assert checkpoint.steps_on_disk(tmp_path) == [9, 100, 1000]


def test_set_aside_ones_go_once_enough_whole_ones_are_there(tmp_path: Path) -> None:
    write(tmp_path, 1)
    bad = write(tmp_path, 2)
    (bad / "optimizer.pt").unlink()
    checkpoint.find_verified(tmp_path)
    checkpoint.prune(tmp_path, keep=2)
    assert len(list(tmp_path.glob("bad-*"))) == 1
    write(tmp_path, 3)
    checkpoint.prune(tmp_path, keep=2)
    assert not list(tmp_path.glob("bad-*"))


def test_an_absent_folder_has_no_checkpoints(tmp_path: Path) -> None:
    assert checkpoint.find_verified(tmp_path / "none") == checkpoint.Search(None, ())
