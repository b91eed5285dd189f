"""The wizard as numbered questions: the same steps on plain lines."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.plain import PlainWizard, run_plain
from tui.plain_console import Console
from tui.steps import looking, review


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "look_at_machine", lambda answers: fakes.machine())
    monkeypatch.setattr(looking, "look_at_model", lambda answers: fakes.model(answers.text("model.source")))
    monkeypatch.setattr(looking, "make_plan", lambda answers, facts: fakes.plan())
    monkeypatch.setattr("tui.jobs.run_job", lambda name, request: fakes.data())
    monkeypatch.setattr("engine.machine.packages.is_installed", lambda name: True)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Answers]]:
    """Answers with which a run was started."""
    from engine.runs.store import Run

    seen: list[Answers] = []

    def start(answers: Answers, facts: Any, rehearse: bool = False) -> Run:
        seen.append(answers)
        return Run(Path("/runs/first"))

    monkeypatch.setattr(review, "start", start)
    yield seen


def talk(answers: Answers, *lines: str) -> tuple[int, str]:
    """The exit code and everything that was said, when a person types `lines` and then leaves."""
    typed, out = iter(lines), io.StringIO()

    def read(prompt: str) -> str:
        out.write(prompt)
        try:
            line = next(typed)
        except StopIteration:
            raise EOFError from None
        out.write(f"{line}\n")
        return line

    code = PlainWizard(answers, Console(read, out)).run()
    return code, out.getvalue()


def test_enter_alone_starts_the_run_when_three_answers_are_given(started: list[Answers], tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text("{}", encoding="utf-8")
    answers = fakes.answers()
    answers.put("need", "task")
    answers.put("model.source", str(tmp_path))
    answers.put("data.source", str(tmp_path / "orders.jsonl"))
    code, said = talk(answers, *[""] * 8)
    assert code == 0
    assert len(started) == 1
    assert "tunewright attach first --plain" in said
    for number in range(1, 8):
        assert f"Step {number} of 7" in said


def test_a_number_chooses_and_a_word_too(tmp_path: Path) -> None:
    answers = Answers()
    talk(answers, "1", "1", "3")
    assert answers.text("need") == "task"
    assert answers.text("goal") == "classification"
    answers = Answers()
    talk(answers, "this", "style", "chat")
    assert (answers.text("need"), answers.text("goal")) == ("style", "chat")


def test_what_is_no_answer_is_said_and_asked_again() -> None:
    answers = Answers()
    _, said = talk(answers, "", "", "poetry", "2")
    assert "'poetry' is not a use case" in said
    assert answers.text("goal") == "structured"


def test_back_and_help_and_leaving(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.json")
    code, said = talk(answers, "", "?", "b", "q")
    assert code == 0
    assert "Fine-tuning changes how a model behaves" in said
    assert said.count("Step 1 of 7") == 2
    assert "Your answers are saved" in said
    assert Answers.load(tmp_path / "answers.json").at == "machine"


def test_the_end_of_the_input_saves(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.json")
    code, _ = talk(answers, "", "1", "1")
    assert code == 0
    assert Answers.load(tmp_path / "answers.json").text("goal") == "instruction"


def test_a_wrong_path_is_asked_again_with_the_reason() -> None:
    answers = fakes.answers()
    answers.at = "data"
    _, said = talk(answers, "/nowhere/rows.jsonl")
    assert "This file does not exist." in said
    assert answers.text("data.source") == "/data/orders.jsonl"


def test_a_setting_is_changed_by_name() -> None:
    answers = fakes.answers()
    answers.at = "settings"
    _, said = talk(answers, "training.epochs=2", "training.epochs=lots", "")
    assert answers.text("training.epochs") == "2.0"
    assert "training.epochs is 'lots'" in said
    assert "Step 7 of 7" in said


def test_a_changed_answer_marks_later_steps_here_too(tmp_path: Path) -> None:
    answers = fakes.answers()
    answers.at = "model"
    answers.done = {"data", "method"}
    _, said = talk(answers, str(tmp_path))
    assert "Check this again: Model changed." in said


def test_the_recipe_can_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answers = fakes.answers()
    answers.at = "review"
    _, said = talk(answers, "3")
    assert (tmp_path / "recipe.toml").exists()
    assert "tunewright train" in said


def test_a_line_of_the_review_leads_to_its_step() -> None:
    answers = fakes.answers()
    answers.at = "review"
    _, said = talk(answers, "goal")
    assert "Step 2 of 7" in said


def test_what_blocks_the_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(answers: Answers) -> None:
        raise UserError("This folder holds no tokenizer.", "/models/small", "Copy tokenizer.json into it.")

    monkeypatch.setattr(looking, "look_at_model", broken)
    answers = fakes.answers()
    answers.at = "review"
    _, said = talk(answers, "1")
    assert said.count("This folder holds no tokenizer.") >= 2
    assert "Copy tokenizer.json into it." in said


def test_no_control_character_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {**fakes.data(), "reason": "x\x1b]52;c;aGk=\x07y\x9b"}
    monkeypatch.setattr("tui.jobs.run_job", lambda name, request: hostile)
    answers = fakes.answers()
    answers.at = "method"
    _, said = talk(answers, "")
    assert "\x1b" not in said and "\x07" not in said and "\x9b" not in said


def test_broken_unfinished_answers_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    from tui.places import answers_path

    answers_path().parent.mkdir(parents=True)
    answers_path().write_text("{", encoding="utf-8")
    monkeypatch.setattr("builtins.input", lambda prompt: "q")
    assert run_plain() == 0
    assert "could not be read" in capsys.readouterr().out


def test_without_answers_it_asks_how_to_begin(monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    typed = iter(["9", "2", "q"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    assert run_plain() == 0
    said = capsys.readouterr().out
    assert "Welcome." in said
    assert "Type a number from 1 to 2" in said
    assert "Step 1 of 7" in said


def test_unknown_columns_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").write_text("{}", encoding="utf-8")
    unknown = {**fakes.data(), "format": "", "columns": ["frage", "antwort"], "lengths": None, "previews": []}
    monkeypatch.setattr("tui.jobs.run_job", lambda name, request: fakes.data() if request.get("map") else unknown)
    answers = fakes.answers()
    answers.put("data.source", str(tmp_path / "rows.jsonl"))
    answers.at = "data"
    _, said = talk(answers, "", "instruction", "x", "frage", "1")
    assert "no format that is recognised" in said
    assert answers.values["data.map"].value == {"instruction": "frage", "output": "antwort"}
    assert "Step 5 of 7" in said


def test_a_setting_is_chosen_by_number_and_explained() -> None:
    answers = fakes.answers()
    answers.at = "settings"
    _, said = talk(answers, "3", "?", "2.5", "")
    assert "How often the data is gone through." in said
    assert answers.values["training.epochs"].value == 2.5
    assert "Step 7 of 7" in said


def test_a_long_list_is_cut_until_more_is_typed() -> None:
    answers = Answers()
    answers.put("goal", "chat")
    answers.at = "model"
    _, said = talk(answers)
    assert "others; type more to hear them" in said
    assert "  12. " not in said
    _, said = talk(answers, "more")
    assert "  12. " in said


def test_leaving_the_demo_claims_nothing_was_saved() -> None:
    _, said = talk(fakes.answers(), "q")
    assert "nothing was saved" in said
