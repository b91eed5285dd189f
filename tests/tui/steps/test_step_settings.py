"""The Settings step: every value with source and reason, changed, checked and reset."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.answer import Answer
from engine.errors import UserError
from engine.recipe_keys import KEYS
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import settings
from tui.steps.contradictions import contradictions
from tui.steps.looking import data_request
from tui.steps.setting_rows import NOT_HERE, rows


def names(answers: Answers, expert: bool = False) -> list[str]:
    return [row.key.name for row in rows(answers, fakes.facts(), expert)]


def test_every_row_has_a_source_and_a_reason() -> None:
    for row in rows(Answers(), fakes.facts(), expert=True):
        assert row.answer.source == "recommended"
        assert row.answer.reason


def test_expert_values_show_only_when_wanted_or_changed() -> None:
    answers = Answers()
    assert "training.weight_decay" not in names(answers)
    assert "training.weight_decay" in names(answers, expert=True)
    answers.put("training.weight_decay", 0.1)
    assert "training.weight_decay" in names(answers)


def test_full_fine_tuning_has_no_adapter_settings() -> None:
    answers = Answers()
    assert "method.rank" in names(answers)
    answers.put("method.name", "full")
    assert "method.rank" not in names(answers, expert=True)


def test_pages_of_their_own_are_not_repeated() -> None:
    assert not set(names(Answers(), expert=True)) & set(NOT_HERE)
    assert set(names(Answers(), expert=True)) | set(NOT_HERE) == set(KEYS)


def test_a_typed_value_is_yours_and_an_empty_one_gives_it_back() -> None:
    answers, facts = Answers(), fakes.facts()
    assert settings.set_value(answers, facts, "training.epochs", "5")
    assert answers.values["training.epochs"].value == 5.0
    assert answers.values["training.epochs"].source == "you"
    assert settings.set_value(answers, facts, "training.epochs", " ")
    assert "training.epochs" not in answers.values


def test_typing_the_recommended_value_changes_nothing() -> None:
    answers = Answers()
    assert not settings.set_value(answers, fakes.facts(), "training.epochs", "3")
    assert not answers.started


def test_text_that_is_no_value_stays_as_a_draft_and_blocks() -> None:
    answers, facts = Answers(), fakes.facts()
    with pytest.raises(UserError):
        settings.set_value(answers, facts, "training.epochs", "many")
    assert answers.drafts["training.epochs"] == "many"
    assert any(problem.blocking for problem in settings.validate(answers, facts))
    settings.reset(answers, "training.epochs")
    assert settings.validate(answers, facts) == []


def test_a_name_that_no_run_may_have_is_refused() -> None:
    with pytest.raises(UserError):
        settings.set_value(Answers(), fakes.facts(), "run.name", "No Spaces Please")


def test_reset_gives_all_or_one_back() -> None:
    answers = fakes.answers()
    answers.put("training.epochs", 5.0)
    answers.put("method.rank", 64)
    assert settings.reset(answers, "method.rank")
    assert "training.epochs" in answers.values
    assert settings.reset(answers)
    assert "training.epochs" not in answers.values
    assert answers.text("model.source")
    assert not settings.reset(answers)


def test_more_tokens_than_the_model_reads_offers_the_most_it_reads() -> None:
    answers = Answers()
    answers.put("training.sequence_length", 100_000)
    (problem,) = settings.validate(answers, fakes.facts())
    assert problem.blocking
    assert problem.remedy is not None and problem.remedy.value == 32_768


def test_holding_out_every_row_is_stopped() -> None:
    answers = Answers()
    answers.put("evaluation.held_out_rows", 500)
    (problem,) = settings.validate(answers, fakes.facts())
    assert problem.remedy is not None and problem.remedy.value == 25


@pytest.mark.parametrize("key", list(KEYS.values()), ids=list(KEYS))
def test_every_key_is_explained(key: object) -> None:
    text = settings.explain(key)  # type: ignore[arg-type]
    assert len(text) > 60
    assert "--set" in text


def test_plain_prompts_change_a_value_by_name() -> None:
    answers, facts = Answers(), fakes.facts()
    settings.apply(answers, facts, "training.epochs=2")
    assert answers.text("training.epochs") == "2.0"
    settings.apply(answers, facts, settings.CONTINUE)
    with pytest.raises(UserError):
        settings.apply(answers, facts, "nonsense")


def test_the_objective_is_shown_where_the_rows_compare_answers() -> None:
    facts = fakes.facts()
    assert "method.objective" not in names(fakes.answers())
    assert facts.data.value is not None
    facts.data.value["format"] = "preference"
    assert "method.objective" in [row.key.name for row in rows(fakes.answers(), facts)]


def test_an_objective_that_the_rows_do_not_serve_has_a_remedy() -> None:
    facts, answers = fakes.facts(), fakes.answers()
    assert facts.data.value is not None
    facts.data.value["format"] = "kto"
    settings.set_value(answers, facts, "method.objective", "dpo")
    problem = next(one for one in settings.validate(answers, facts) if "DPO needs" in one.what)
    assert problem.blocking
    assert problem.remedy is not None and problem.remedy.value == "kto"


def test_a_tracker_without_its_package_is_said_before_the_start() -> None:
    answers, facts = fakes.answers(), fakes.facts()
    settings.set_value(answers, facts, "tracking.to", "nowhere")
    assert any("is no tracker" in one.what for one in settings.validate(answers, facts))


def test_expert_settings_that_this_machine_cannot_follow_are_said() -> None:
    answers, facts = Answers(), fakes.facts()
    answers.put("training.activation_offloading", True)
    answers.put("training.optimizer", "paged_adamw_8bit")
    assert settings.validate(answers, facts) == [], "on a GPU both work"
    answers.put("method.objective", "orpo")
    assert any("orpo does not offload" in problem.what for problem in settings.validate(answers, facts))
    assert facts.machine.value is not None
    facts.machine.value = replace(facts.machine.value, gpus=())
    found = {problem.remedy.key: problem for problem in settings.validate(answers, facts) if problem.remedy}
    assert found["training.activation_offloading"].blocking
    assert not found["training.optimizer"].blocking and "works as adamw_8bit" in found["training.optimizer"].what


def test_half_precision_on_a_processor_is_said_and_not_forbidden() -> None:
    looked = fakes.facts()
    no_gpu = replace(fakes.machine(), gpus=())
    looked.machine.settle("asked", no_gpu)
    said = contradictions({"training.precision": Answer("fp16", "you", "")}, looked)
    assert [problem.blocking for problem in said if "fp32" in problem.what] == [False]
    assert not contradictions({"training.precision": Answer("fp16", "you", "")}, fakes.facts())


def test_no_more_rows_are_read_than_may_be_learned() -> None:
    answers = fakes.answers()
    assert "limit" not in data_request(answers, fakes.facts())
    answers.put("data.max_rows", 20)
    assert data_request(answers, fakes.facts())["limit"] == 20
