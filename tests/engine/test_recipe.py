"""The recipe keeps values and reasons, and refuses what it does not know, with the place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.recipe_keys import KEYS, Value, find_key, parse_value


def make(**values: Value) -> Recipe:
    answers = {"model.source": Answer("m", "you", "typed"), "data.source": Answer("d.jsonl", "you", "typed")}
    answers |= {name.replace("__", "."): Answer(value, "you", "because") for name, value in values.items()}
    return Recipe.from_answers(answers)


def test_every_default_is_a_value_that_its_own_key_accepts() -> None:
    for key in KEYS.values():
        assert key.check(key.default) == key.default


def test_a_saved_recipe_comes_back_with_values_sources_and_reasons(tmp_path: Path) -> None:
    recipe = make(training__learning_rate=2e-5, data__map={"prompt": "a question"}, method__target_modules=["q", "v"])
    recipe.save(tmp_path / "r.toml")
    loaded = Recipe.load(tmp_path / "r.toml")
    assert loaded == recipe
    assert loaded.answers == recipe.answers
    assert loaded.fingerprint() == recipe.fingerprint()


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_survives_the_file(tmp_path_factory: pytest.TempPathFactory, path: str, reason: str) -> None:
    file = tmp_path_factory.mktemp("r") / "r.toml"
    text = path.encode("utf-8", "replace").decode() or "x"
    answers = {"model.source": Answer(text, "you", reason), "data.source": Answer(text, "detected", reason)}
    recipe = Recipe.from_answers(answers)
    recipe.save(file)
    assert Recipe.load(file) == recipe


def test_name_and_reasons_do_not_change_the_fingerprint_but_values_do() -> None:
    assert make(run__name="a").fingerprint() == make(run__name="b").fingerprint()
    assert make(training__seed=1).fingerprint() != make(training__seed=2).fingerprint()


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("[training]\nepoch = 3\n", "no key 'training.epoch'", 2),
        ("\n[trainng]\nepochs = 3\n", "'trainng'", 2),
        ("[training]\n\nepochs = 'many'\n", "a number is expected", 3),
        ("[training]\nseed = 1.5\n", "a whole number", 2),
        ("[training]\nseed = true\n", "a whole number", 2),
        ("[training]\nmicro_batch_size = 0\n", "outside 1 to 4096", 2),
        ("[method]\nname = 'dora'\n", "'dora'", 2),
        ("loose = 1\n", "'loose'", 1),
        ("[model\n", "not valid TOML", 1),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, what: str, line: int) -> None:
    file = tmp_path / "r.toml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        Recipe.load(file)
    assert what in caught.value.what
    assert caught.value.where == f"{file}:{line}"
    assert caught.value.fix


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"a = '\xe9'")
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * 1_000_001)
    for path in (tmp_path / "absent.toml", tmp_path, latin, huge):
        with pytest.raises(UserError):
            Recipe.load(path)


def test_model_and_data_are_required() -> None:
    with pytest.raises(UserError, match="model.source"):
        Recipe.from_answers({"data.source": Answer("d", "you", "")})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("training.epochs", "2", 2.0),
        ("training.learning_rate", "1e-4", 1e-4),
        ("method.target_modules", "q_proj, v_proj", ["q_proj", "v_proj"]),
        ("training.packing", "true", True),
        ("data.map", '{ prompt = "q" }', {"prompt": "q"}),
        ("method.name", "qlora", "qlora"),
    ],
)
def test_set_reads_plain_text(name: str, text: str, value: Value) -> None:
    assert parse_value(name, text) == value


@pytest.mark.parametrize("pair", ["training.packing=yes", "method.name=LoRA", "training.seed=x", "lr=1"])
def test_set_refuses_with_the_place(pair: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_value(*pair.split("=", 1))
    assert caught.value.where.startswith("--set")


def test_an_unknown_key_names_its_neighbours() -> None:
    with pytest.raises(UserError) as caught:
        find_key("epochs")
    assert "training.epochs" in caught.value.fix
