"""Unsloth's environment: found, refused with a reason, and given nothing of ours but the engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import engine
from engine.answer import Answer
from engine.errors import UserError
from engine.places import home_directory
from engine.recipe import Recipe
from engine.recipe_keys import Value
from engine.runs import unsloth_place
from engine.runs.unsloth_place import VARIABLE, check_backend, import_path, interpreter


def recipe(**changes: Value) -> Recipe:
    values: dict[str, Value] = {"model.source": "m", "data.source": "d", "method.backend": "unsloth"}
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    return Recipe.from_answers({key: Answer(value, "you", "") for key, value in values.items()})


def test_plain_trl_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert interpreter(recipe(method__backend="trl", method__dora=True)) is None


def test_without_its_environment_the_commands_that_make_it_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserError, match="environment of its own") as caught:
        check_backend(recipe())
    place = home_directory() / "unsloth"
    assert f"python3 -m venv {place}" in caught.value.fix and f"{place}/bin/pip install unsloth" in caught.value.fix


def test_it_is_found_by_its_variable_or_below_the_programs_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    python = home_directory() / "unsloth" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert interpreter(recipe()) == str(python)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UserError, match="not installed"):
        interpreter(recipe())


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"method__objective": "dpo"}, "objective dpo"), ({"method__dora": True}, "DoRA"),
     ({"method__train_embeddings": True}, "trained embeddings"), ({"method__layers": "0-3"}, "chosen layers"),
     ({"training__devices": 2}, "several GPUs")],
)  # fmt: skip
def test_what_it_is_not_used_for_is_refused(
    changes: dict[str, Value], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, sys.executable)
    with pytest.raises(UserError, match=words) as caught:
        check_backend(recipe(**changes))
    assert "backend=trl" in caught.value.fix


def test_an_installed_copy_shows_the_other_environment_the_engine_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "site-packages"
    for name in ("engine", "assets", "transformers"):
        (home / name).mkdir(parents=True)
    monkeypatch.setattr(unsloth_place.engine, "__file__", str(home / "engine" / "__init__.py"))
    place = Path(import_path())
    assert sorted(path.name for path in place.iterdir()) == ["assets", "engine"]
    assert (place / "engine").resolve() == home / "engine" and import_path() == str(place)


def test_a_checkout_is_its_own_path() -> None:
    assert Path(import_path()) == Path(engine.__file__).parent.parent
