"""Answers survive: saved whole, read back the same, and a broken file is no disaster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.recipe import Answer
from tui.answers import Answers, from_recipe
from tui.places import answers_path


def test_save_and_load_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "state" / "answers.json"
    answers = Answers(path)
    answers.put("goal", "chat", "you", "your choice")
    answers.put("training.epochs", 2.0, "recommended", "few rows")
    answers.put("data.map", {"prompt": "frage"}, "detected", "the names")
    answers.drafts["model.source"] = "half typed"
    answers.done.add("goal")
    answers.check["data"] = "Goal changed"
    answers.at = "model"
    answers.save()
    assert Answers.load(path) == answers


def test_nothing_saved_yet_gives_empty_answers(tmp_path: Path) -> None:
    answers = Answers.load(tmp_path / "answers.json")
    assert not answers.started
    assert answers.at == "machine"


BROKEN = ["", "{", "[]", '{"v": 99}', '{"v": 1, "values": {"training.epochs": ["x", "you", ""]}}']


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_moved_aside_and_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as failure:
        Answers.load(path)
    assert "answers.json.broken" in failure.value.fix
    assert not path.exists()
    assert (tmp_path / "answers.json.broken").read_text(encoding="utf-8") == text
    assert not Answers.load(path).started


def test_a_value_that_a_recipe_would_refuse_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    answers = Answers(path)
    answers.put("training.epochs", 2.0)
    answers.save()
    document = json.loads(path.read_text(encoding="utf-8"))
    document["values"]["training.epochs"][0] = -1
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError):
        Answers.load(path)


def test_saving_leaves_no_temporary_file(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.json")
    answers.put("goal", "chat")
    answers.save()
    answers.save()
    assert [path.name for path in tmp_path.iterdir()] == ["answers.json"]


def test_put_tells_whether_the_value_changed() -> None:
    answers = Answers()
    assert answers.put("goal", "chat")
    assert not answers.put("goal", "chat", "recommended", "another reason")
    assert answers.put("goal", "code")


def test_chosen_holds_only_what_a_person_or_an_earlier_run_fixed() -> None:
    answers = Answers()
    answers.put("goal", "chat")
    answers.put("method.name", "lora", "recommended", "fits")
    answers.put("training.epochs", 2.0, "you", "")
    answers.put("training.seed", 7, "previous", "as in a")
    assert set(answers.chosen()) == {"training.epochs", "training.seed"}


def test_discard_removes_the_file(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.json")
    answers.save()
    answers.discard()
    answers.discard()
    assert not (tmp_path / "answers.json").exists()


def test_a_clone_takes_every_value_but_the_name() -> None:
    recipe = {"model.source": Answer("/m", "you", ""), "run.name": Answer("old", "you", ""),
              "data.split": Answer("", "recommended", "")}  # fmt: skip
    answers = from_recipe(recipe, "as in old")
    assert answers.values == {"model.source": Answer("/m", "previous", "as in old")}


def test_the_file_lies_in_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert answers_path() == tmp_path / "tunewright" / "answers.json"
