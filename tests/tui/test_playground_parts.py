"""What the playground remembers, sends and offers, without a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UserError
from tests.tui import runs
from tui.screens.playground_asking import request_for
from tui.screens.playground_history import Exchange, history_path, read_history, remember, tally, vote
from tui.screens.playground_settings import DEFAULTS, read_settings, settings_words
from tui.screens.playground_sides import candidates, side_name
from tui.watch.held_out import HeldOut, read_rows


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    run = runs.make_run(tmp_path)
    remember(run, Exchange("1", "one", {"base": "a", "tuned": "b"}))
    with history_path(run).open("a") as stream:
        stream.write('{"id": "2", "question": "tor\n[1]\n')
    remember(run, Exchange("3", "three\nlines", {"base": "ä", "tuned": ""}, expected="x"))
    vote(run, "1", "tuned")
    vote(run, "gone", "base")
    vote(run, "3", "same")
    vote(run, "1", "base")
    found = read_history(run)
    assert [(each.question, each.vote) for each in found] == [("one", "base"), ("three\nlines", "same")]
    assert tally(found) == {"base": 1, "same": 1}
    assert read_history(runs.make_run(tmp_path, "empty")) == []


def test_everybody_gets_the_question_after_their_own_conversation() -> None:
    said = {"tuned": [("user", "q"), ("assistant", "a")]}
    request = request_for(HeldOut((("user", "now"),), "", 0), ["base", "tuned"], said, {"system": "be kind"})
    assert [turn["content"] for turn in request["side_turns"]["tuned"]] == ["q", "a", "now"]
    assert [turn["content"] for turn in request["side_turns"]["base"]] == ["now"]
    assert request["which"] == ["base", "tuned"] and request["system"] == "be kind"


def test_a_row_with_a_system_message_of_its_own_gets_no_second_one() -> None:
    asked = HeldOut((("system", "trained"), ("user", "q")), "", 0)
    assert "system" not in request_for(asked, ["base", "tuned"], {}, {"system": "other", "seed": 1})


@pytest.mark.parametrize(
    ("texts", "found"),
    [({}, DEFAULTS), ({"temperature": "0,7", "seed": "3"}, {**DEFAULTS, "temperature": 0.7, "seed": 3}),
     ({"system": " be brief "}, {**DEFAULTS, "system": "be brief"})],
)  # fmt: skip
def test_settings_from_what_was_typed(texts: dict[str, str], found: dict[str, object]) -> None:
    assert read_settings(texts) == found


@pytest.mark.parametrize(
    ("key", "text"),
    [("temperature", "hot"), ("temperature", "nan"), ("top_p", "1.1"), ("max_tokens", "0"), ("seed", "1.5")],
)
def test_a_setting_out_of_range_is_named(key: str, text: str) -> None:
    with pytest.raises(UserError) as failure:
        read_settings({key: text})
    assert failure.value.where == key and "from" in failure.value.fix


def test_settings_in_words_name_what_differs() -> None:
    assert settings_words(DEFAULTS) == "temperature 0, always the likeliest answer"
    assert settings_words({**DEFAULTS, "temperature": 1.0, "seed": 4, "system": "x"}) == (
        "temperature 1, answers vary, seed 4, system prompt"
    )


def test_checkpoints_other_runs_and_mixes_are_offered(tmp_path: Path) -> None:
    run, other = runs.make_run(tmp_path, "one"), runs.make_run(tmp_path, "other.run")
    (run.checkpoints_dir / "step-00000010").mkdir()
    found = {each.name: each for each in candidates(run, ["base", "tuned"], [run, other])}
    assert list(found) == ["base", "tuned", "step-00000010", "other-run"]
    assert found["other-run"].request == {"add": {"name": "other-run", "run": str(other.path)}}
    mix = candidates(run, ["base", "tuned", "step-00000010"], [])[-1]
    assert mix.request == {"combine": {"name": "mix", "weights": {"tuned": 0.5, "step-00000010": 0.5}}}
    assert not mix.option().mark and candidates(run, ["base"], [])[0].option().mark == "loaded"


def test_names_of_runs_become_names_that_the_job_takes() -> None:
    assert side_name("a.b c!") == "a-b-c" and len(side_name("x" * 99)) == 32 and side_name("...") == "other"


def test_rows_without_turns_are_left_out() -> None:
    rows = read_rows([{"turns": [["user", "q"]], "expected": "a", "row": 4}, {"turns": []}, "noise"])
    assert rows == [HeldOut((("user", "q"),), "a", 4)] and rows[0].question == "q"
