"""Run directories: made whole, found again, never overwritten."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.places import runs_root
from engine.recipe import Answer, Recipe
from engine.recipe_keys import Value
from engine.runs import files
from engine.runs.control import acknowledge, pending, request
from engine.runs.events import EventLog
from engine.runs.liveness import liveness
from engine.runs.local_paths import check_sources
from engine.runs.store import Run, check_name, create_run, delete_run, fresh_name, list_runs, open_run


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


def test_every_path_of_a_recipe_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rows.jsonl", "chat.jsonl", "book.txt"):
        (tmp_path / name).write_text("{}")
    given = recipe(data="rows.jsonl").changed(
        {"data.more": ["chat.jsonl * 0.5", "owner/rows * 2"], "evaluation.general": "book.txt"}, "you", ""
    )
    made = create_run(given, tmp_path / "runs").recipe()
    assert made.data.more == [f"{tmp_path / 'chat.jsonl'} * 0.5", "owner/rows * 2"]
    assert made.evaluation.general == str(tmp_path / "book.txt")


@pytest.mark.parametrize("changes, words", [
    ({"evaluation.general": "absent.txt"}, "no file absent.txt"), ({"data.more": ["a.jsonl * 0"]}, "no data"),
])  # fmt: skip
def test_what_only_the_engine_would_miss_is_said_before_a_folder_is_made(
    tmp_path: Path, changes: dict[str, Value], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        create_run(recipe().changed(changes, "you", ""), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_file_where_the_runs_should_be_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UserError, match="a file has that name"):
        create_run(recipe(), tmp_path / "runs")
    with pytest.raises(UserError, match="a file has that name"):
        create_run(recipe(), tmp_path / "runs" / "below")


@pytest.mark.parametrize("key, word", [("model.source", "base model"), ("data.source", "data")])
def test_a_moved_model_or_file_is_said_before_an_engine_starts(tmp_path: Path, key: str, word: str) -> None:
    (tmp_path / "here").write_text("")
    given = recipe(model=str(tmp_path / "here"), data=str(tmp_path / "here"))
    check_sources(given, "night")
    moved = given.changed({key: str(tmp_path / "gone")}, "you", "")
    with pytest.raises(UserError, match=f"The {word} of run night is no longer where it was") as caught:
        check_sources(moved, "night")
    assert f"ln -s NEW {tmp_path / 'gone'}" in caught.value.fix
    check_sources(recipe(model="owner/base", data="owner/rows"), "night")


def test_a_run_that_was_renamed_by_hand_is_found_as_it_is_listed(tmp_path: Path) -> None:
    create_run(recipe(), tmp_path, "night").path.rename(tmp_path / "My Night")
    (found,) = list_runs(tmp_path)
    assert open_run(found.name, tmp_path) == found
    assert found.word == f"'{tmp_path / 'My Night'}'", "as a shell takes it"
    for name in ("", "My", "a\x00b", "My\nNight"):
        with pytest.raises(UserError):
            open_run(name, tmp_path)


def test_a_damaged_snapshot_is_made_up_for_by_the_events(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.state() == {}
    log = EventLog(run.events_path)
    log.write("phase", phase="training", detail="")
    log.write("step", step=4, loss=1.0)
    run.state_path.write_bytes(bytes(40))
    assert (run.state()["step"], run.state()["phase"], run.state()["stop_reason"]) == (4, "training", None)
    assert liveness(run).state == "lost"
    log.write("end", reason="finished", step=5, detail="")
    assert liveness(run).state == "finished"
    log.close()
