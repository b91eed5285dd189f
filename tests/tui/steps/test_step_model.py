"""The Model step: folders, Hub names, the catalogue and its fit marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UserError
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import model
from tui.steps.facts import Facts


@pytest.mark.parametrize(
    ("text", "word"),
    [("", "No model"), ("/nowhere/at/all", "does not exist"), ("./gone", "does not exist"), ("a/b/c", "neither"),
     ("two words", "neither")],
)  # fmt: skip
def test_what_is_no_model_is_refused(text: str, word: str) -> None:
    answers = Answers()
    with pytest.raises(UserError) as failure:
        model.apply(answers, Facts(), text)
    assert word in failure.value.what
    assert failure.value.fix
    assert not answers.values


def test_a_folder_and_a_hub_name_are_taken(tmp_path: Path) -> None:
    answers = Answers()
    model.apply(answers, Facts(), str(tmp_path))
    assert answers.text("model.source") == str(tmp_path)
    model.apply(answers, Facts(), "  Qwen/Qwen2.5-0.5B-Instruct ")
    assert answers.text("model.source") == "Qwen/Qwen2.5-0.5B-Instruct"


@pytest.mark.parametrize(
    ("name", "vram_gb", "words"),
    [("Qwen/Qwen2.5-0.5B", 24, "also full"), ("Qwen/Qwen2.5-7B-Instruct", 24, "with LoRA"),
     ("Qwen/Qwen2.5-7B-Instruct", 12, "with QLoRA"), ("Qwen/Qwen2.5-7B-Instruct", 4, "needs "),
     ("unsloth/Qwen2.5-7B-Instruct-bnb-4bit", 80, "with QLoRA"), ("somebody/unknown", 80, "")],
)  # fmt: skip
def test_the_catalogue_says_what_fits(name: str, vram_gb: int, words: str) -> None:
    facts = fakes.facts()
    facts.machine.value = fakes.machine(vram_gb)
    mark, _ = model.fit_mark(name, facts)
    assert words in mark and bool(words) == bool(mark)


def test_nothing_is_claimed_before_the_machine_is_known() -> None:
    assert not any(option.mark for option in model.options(Answers(), Facts()))


def test_one_model_is_recommended_and_it_fits() -> None:
    recommended = [option for option in model.options(Answers(), fakes.facts()) if option.recommended]
    assert len(recommended) == 1
    assert recommended[0].good


def test_without_a_gpu_the_smallest_is_recommended() -> None:
    facts = fakes.facts()
    facts.machine.value = fakes.machine(vram_gb=0)
    recommended = next(option for option in model.options(Answers(), facts) if option.recommended)
    assert "135 million" in recommended.consequence


def test_choices_are_unique() -> None:
    values = [option.value for option in model.options(Answers(), fakes.facts())]
    assert len(values) == len(set(values)) > 10


def test_folders_nearby_are_found(tmp_path: Path) -> None:
    for name in ("b", "a", "no-model"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
    assert model.nearby_models((tmp_path, tmp_path / "absent")) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_what_was_found_out_is_a_problem_or_words() -> None:
    answers, facts = fakes.answers(), fakes.facts()
    assert model.validate(answers, facts) == []
    assert "494 million parameters" in "\n".join(model.facts_lines(facts))
    facts.model.problem = UserError("It has no tokenizer.", "/m", "Copy tokenizer.json.")
    (problem,) = model.validate(answers, facts)
    assert (problem.what, problem.fix, problem.blocking) == ("It has no tokenizer.", "Copy tokenizer.json.", True)


def test_a_model_that_is_still_looked_up_only_waits() -> None:
    facts = Facts()
    facts.model.ask("x")
    (problem,) = model.validate(fakes.answers(), facts)
    assert problem.waiting
