"""Run directories: made whole, found again, never overwritten."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.runs import files
from engine.runs.control import acknowledge, pending, request
from engine.runs.store import check_name, create_run, delete_run, fresh_name, list_runs, open_run, runs_root


def recipe(model: str = "m", data: str = "d") -> Recipe:
    return Recipe.from_answers({"model.source": Answer(model, "you", ""), "data.source": Answer(data, "you", "")})


def test_a_run_is_private_and_has_its_recipe(tmp_path: Path) -> None:
    run = create_run(recipe(), tmp_path, "first")
    assert run.path.stat().st_mode & 0o777 == 0o700
    assert run.recipe_path.stat().st_mode & 0o777 == 0o600
    assert run.recipe().run.name == "first"
    assert [found.name for found in list_runs(tmp_path)] == ["first"]
    assert open_run("first", tmp_path) == run
    assert open_run(str(run.path)) == run


def test_local_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("{}")
    run = create_run(recipe(model="org/model", data="rows.jsonl"), tmp_path / "runs")
    assert run.recipe().data.source == str(tmp_path / "rows.jsonl")
    assert run.recipe().model.source == "org/model"


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    create_run(recipe(), tmp_path, "a")
    with pytest.raises(UserError, match="already a run called a"):
        create_run(recipe(), tmp_path, "a")
    assert fresh_name(tmp_path, "A") == "a-2"


@pytest.mark.parametrize("name", ["", "../x", "A", "-a", ".a", "a/b", "a" * 65, "a b", "a\n"])
def test_dangerous_names_are_refused(name: str) -> None:
    with pytest.raises(UserError):
        check_name(name)


@pytest.mark.parametrize("stem", ["Qwen/Qwen2.5-0.5B", "", "---", "ä ö", "x" * 200])
def test_every_stem_gives_a_valid_name(tmp_path: Path, stem: str) -> None:
    assert check_name(fresh_name(tmp_path, stem))


def test_an_unknown_run_names_its_neighbours(tmp_path: Path) -> None:
    create_run(recipe(), tmp_path, "orders-lora")
    with pytest.raises(UserError) as caught:
        open_run("order-lora", tmp_path)
    assert "orders-lora" in caught.value.fix


def test_no_room_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        create_run(recipe(), tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


def test_a_runs_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        create_run(recipe(), tmp_path / "file" / "runs", "a")
    assert "--runs" in caught.value.fix


def test_only_a_run_is_deleted(tmp_path: Path) -> None:
    run = create_run(recipe(), tmp_path, "a")
    delete_run(run)
    assert not run.path.exists()
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError):
        delete_run(type(run)(tmp_path / "photos"))
    assert (tmp_path / "photos").is_dir()


def test_the_usual_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path))
    assert runs_root() == tmp_path / "runs"
    assert runs_root("~/x") == Path.home() / "x"


def test_requests_wait_in_order_until_they_are_taken(tmp_path: Path) -> None:
    run = create_run(recipe(), tmp_path, "a")
    first = request(run, "save")
    second = request(run, "stop", when="now")
    (run.control_dir / "0.json").write_text("nonsense")
    assert [(item.identity, item.action) for item in pending(run)] == [(first, "save"), (second, "stop")]
    assert pending(run)[1].arguments == {"when": "now"}
    acknowledge(run, first)
    acknowledge(run, first)
    assert [item.identity for item in pending(run)] == [second]
    with pytest.raises(UserError):
        request(run, "explode")


def test_an_atomic_write_replaces_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.json"
    files.write_atomic(path, json.dumps({"a": 1}))

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(files.os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        files.write_atomic(path, "half")
    assert files.read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.json"]
