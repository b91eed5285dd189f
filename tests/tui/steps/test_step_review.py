"""The Review step: the lines, the command, the recipe, and what blocks the start."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.recipe import Recipe
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import review
from tui.steps.facts import Facts


def test_there_is_one_line_per_step() -> None:
    lines = review.lines(fakes.answers(), fakes.facts())
    assert [line.step for line in lines] == ["machine", "goal", "model", "data", "method", "settings"]
    assert all(line.text for line in lines)


def test_a_step_to_check_again_says_so() -> None:
    answers = fakes.answers()
    answers.check["data"] = "Model changed"
    line = review.lines(answers, fakes.facts())[3]
    assert line.note == "check again: Model changed"


def test_the_command_does_the_same_and_is_quoted_for_a_shell() -> None:
    answers = fakes.answers()
    answers.put("data.source", "/data/my orders.jsonl")
    answers.put("training.epochs", 2.0)
    answers.put("method.target_modules", ["q_proj", "v_proj"])
    answers.put("run.name", "first")
    words = shlex.split(review.command(answers, fakes.facts()))
    assert words[:2] == ["tunewright", "train"]
    assert words[words.index("--data") + 1] == "/data/my orders.jsonl"
    assert words[words.index("--goal") + 1] == "structured"
    assert words[words.index("--method") + 1] == "lora"
    assert words[words.index("--name") + 1] == "first"
    assert "training.epochs=2" in words
    assert 'method.target_modules=["q_proj", "v_proj"]' in words


def test_the_recipe_has_the_plan_with_the_persons_values_over_it() -> None:
    answers = fakes.answers()
    answers.put("training.epochs", 7.0)
    recipe = review.recipe(answers, fakes.facts())
    assert recipe.training.epochs == 7.0
    assert recipe.answers["training.epochs"].source == "you"
    assert recipe.training.sequence_length == 128
    assert recipe.answers["training.sequence_length"].source == "recommended"
    assert recipe.method.name == "lora"


def test_a_recipe_without_data_is_refused() -> None:
    answers = fakes.answers()
    answers.drop("data.source")
    with pytest.raises(UserError) as failure:
        review.recipe(answers, fakes.facts())
    assert "No data" in failure.value.what


def test_missing_packages_block_the_start_and_not_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.machine.packages.is_installed", lambda name: name != "torch")
    answers, facts = fakes.answers(), fakes.facts()
    assert "torch" in review.blocking(answers, facts)[-1][1].what
    assert review.blocking(answers, facts, training=False) == []


def test_a_pretended_machine_blocks_the_start_and_not_the_recipe() -> None:
    answers, facts = fakes.answers(), fakes.facts()
    answers.put("pretend.vram_gb", "80")
    assert review.blocking(answers, facts)[0][0] == "machine"
    assert review.blocking(answers, facts, training=False) == []


def test_saving_never_overwrites_a_file(tmp_path: Path) -> None:
    answers, facts = fakes.answers(), fakes.facts()
    first, second = (review.save(answers, facts, tmp_path) for _ in range(2))
    assert (first.name, second.name) == ("recipe.toml", "recipe-2.toml")
    assert Recipe.load(first).data.source == "/data/orders.jsonl"


def test_saving_where_nobody_may_write_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError) as failure:
        review.save(fakes.answers(), fakes.facts(), tmp_path / "file")
    assert "cannot be written" in failure.value.what


def test_an_empty_wizard_lists_what_is_missing() -> None:
    steps = {step for step, _ in review.blocking(Answers(), Facts(), training=False)}
    assert steps == {"goal", "model", "data"}
