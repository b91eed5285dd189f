"""From a recipe to what the trainer gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data.prepare import load_examples
from engine.data.prepared import PreparedData
from engine.data.rendered import IGNORED
from engine.errors import UserError
from engine.recipe import Answer, Recipe

from .conftest import CHATML


def recipe(model: Path, data: Path, **values: Any) -> Recipe:
    keys = {
        "model.source": str(model),
        "data.source": str(data),
        "training.sequence_length": 512,
        "evaluation.held_out_rows": 5,
    }
    keys |= {name.replace("__", "."): value for name, value in values.items()}
    return Recipe.from_answers({name: Answer(value, "you", "") for name, value in keys.items()})


def prepare(model: Path, data: Path, **values: Any) -> PreparedData:
    prepared = load_examples(recipe(model, data, **values), model)
    prepared.renderer.close()
    return prepared


@pytest.fixture
def orders(make_rows: Callable[..., Path]) -> Path:
    return make_rows([{"prompt": f"order {number}", "completion": json.dumps({"n": number})} for number in range(60)])


def test_rows_are_rendered_split_and_fingerprinted(make_model: Callable[..., Path], orders: Path) -> None:
    model = make_model()
    prepared = prepare(model, orders)
    assert (len(prepared.train), len(prepared.held_out), prepared.skipped) == (55, 5, [])
    assert prepared.format == "input_output" and prepared.map == {"input": "prompt", "output": "completion"}
    assert [example.expected for example in prepared.held_out_examples] == [
        json.dumps({"n": example.row - 1}) for example in prepared.held_out_examples
    ]
    assert all(row.labels[0] == IGNORED and len(row.labels) == len(row.input_ids) for row in prepared.train)
    assert prepared.trained_tokens == sum(row.trained_tokens for row in prepared.train) > 0
    assert prepare(model, orders).fingerprint == prepared.fingerprint
    for change in ({"training__seed": 7}, {"evaluation__held_out_rows": 6}):
        assert prepare(model, orders, **change).fingerprint != prepared.fingerprint
    orders.write_text(orders.read_text().replace("order 7", "order 8", 1))
    assert prepare(model, orders).fingerprint != prepared.fingerprint


def test_a_changed_template_changes_the_fingerprint(make_model: Callable[..., Path], orders: Path) -> None:
    plain, chat = make_model(), make_model(CHATML, name="chat")
    assert prepare(plain, orders).fingerprint != prepare(chat, orders).fingerprint
    assert prepare(plain, orders).fingerprint == prepare(chat, orders, data__template="plain").fingerprint


def test_unusable_rows_are_listed_and_too_many_stop_the_run(
    make_model: Callable[..., Path], make_rows: Callable[..., Path]
) -> None:
    good = [{"prompt": f"q{number}", "completion": "a"} for number in range(50)]
    prepared = prepare(make_model(), make_rows([*good, {"prompt": "q", "completion": None}]))
    assert [(row.kind, row.where.rsplit(":", 1)[1]) for row in prepared.skipped] == [("null", "51")]
    assert "1 row is left out (null)" in " ".join(prepared.notes)
    with pytest.raises(UserError, match="5 of 55 rows") as caught:
        prepare(make_model(name="m2"), make_rows([*good, *[{"prompt": "q", "completion": None}] * 5], name="bad.jsonl"))
    assert caught.value.where.endswith("bad.jsonl:51")


def test_answers_behind_the_cut_stop_the_run_before_it_starts(
    make_model: Callable[..., Path], make_rows: Callable[..., Path]
) -> None:
    rows = make_rows([{"prompt": "x" * 400, "completion": "a"}] * 20)
    with pytest.raises(UserError, match="behind the sequence length") as caught:
        prepare(make_model(), rows, training__sequence_length=128)
    assert "sequence_length" in caught.value.fix


def test_cut_answers_are_counted(make_model: Callable[..., Path], make_rows: Callable[..., Path]) -> None:
    rows = [{"prompt": f"q{number}", "completion": "a" * (500 if number == 3 else 5)} for number in range(30)]
    prepared = prepare(make_model(), make_rows(rows), training__sequence_length=128)
    assert (prepared.truncated, prepared.answers_cut) == (1, 1)
    assert "1 row is longer" in " ".join(prepared.notes)


def test_long_text_is_split_and_loses_nothing(make_model: Callable[..., Path], make_file: Callable[..., Path]) -> None:
    path = make_file("book.txt", "\n".join("abcdefghij" * 10 for _ in range(30)))
    prepared = prepare(make_model(), path, training__sequence_length=32)
    assert prepared.format == "text" and prepared.truncated == 0
    tokens = sum(len(row.input_ids) for row in (*prepared.train, *prepared.held_out))
    assert tokens == 30 * 101 and max(len(row.input_ids) for row in prepared.train) == 32


def test_columns_can_be_said(make_model: Callable[..., Path], make_rows: Callable[..., Path]) -> None:
    path = make_rows([{"a": f"q{number}", "b": "x", "c": f"answer {number}"} for number in range(30)])
    columns = {"prompt": "a", "completion": "c"}
    prepared = prepare(make_model(), path, data__format="prompt_completion", data__map=columns)
    assert prepared.train_examples[0].expected.startswith("answer")
    for name, broken, words in (
        ("prompt_completion", {"prompt": "a", "completion": "zzz"}, "no column"),
        ("prompt_completion", {"prompt": "a", "label": "c"}, "no role"),
        ("messages", {}, "needs a column"),
        ("auto", {}, "No known format"),
    ):
        with pytest.raises(UserError, match=words):
            prepare(make_model(name=f"m{words[:4]}"), path, data__format=name, data__map=broken)


def test_a_validation_file_is_evaluated_on_and_leaks_are_said(
    make_model: Callable[..., Path], make_rows: Callable[..., Path]
) -> None:
    rows = [{"prompt": f"q{number}", "completion": f"a{number}"} for number in range(30)]
    extra = make_rows([*rows[:2], {"prompt": "new", "completion": "b"}], name="valid.jsonl")
    prepared = prepare(make_model(), make_rows(rows), data__validation=str(extra), evaluation__held_out_rows=0)
    assert (len(prepared.train), len(prepared.held_out)) == (30, 3)
    assert "2 of 3 rows of the validation file are also trained on" in " ".join(prepared.notes)


def test_answers_called_bad_are_not_trained(make_model: Callable[..., Path], make_rows: Callable[..., Path]) -> None:
    rows = [{"prompt": f"q{n}", "completion": f"a{n}", "label": n % 2 == 0} for n in range(40)]
    prepared = prepare(make_model(), make_rows(rows))
    assert prepared.format == "kto" and len(prepared.train) + len(prepared.held_out) == 20
    assert "20 rows have an answer that is labelled as bad" in " ".join(prepared.notes)


def test_only_the_chosen_answer_is_trained(make_model: Callable[..., Path], make_rows: Callable[..., Path]) -> None:
    rows = [{"prompt": f"q{n}", "chosen": "good", "rejected": "poor"} for n in range(20)]
    prepared = prepare(make_model(), make_rows(rows))
    assert all("good" in row.text and "poor" not in row.text for row in prepared.train)


def test_bad_rows_are_passed_over_only_when_asked(
    make_model: Callable[..., Path], make_file: Callable[..., Path]
) -> None:
    good = "".join(json.dumps({"prompt": f"q{n}", "completion": "a"}) + "\n" for n in range(10))
    path = make_file("rows.jsonl", good + "broken\n")
    with pytest.raises(UserError, match="Line 11"):
        prepare(make_model(), path)
    prepared = prepare(make_model(name="other"), path, data__skip_bad_rows=True, evaluation__held_out_rows=0)
    assert len(prepared.train) == 10 and [row.kind for row in prepared.skipped] == ["unreadable"]


def test_a_share_of_the_rows_is_held_out_and_rows_are_limited(make_model: Any, make_rows: Any) -> None:
    rows = [{"prompt": f"q {n}", "completion": f"a {n}"} for n in range(40)]
    shared = {"evaluation__held_out_rows": 0, "evaluation__held_out_share": 0.1}
    prepared = prepare(make_model(), make_rows(rows), **shared)
    assert (len(prepared.train), len(prepared.held_out)) == (36, 4)
    prepared = prepare(make_model(name="b"), make_rows(rows), **shared, data__max_rows=10)
    assert (len(prepared.train), len(prepared.held_out)) == (9, 1)
