"""What the data page and `tunewright data` get to know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data.inspect import DataSummary, inspect_data
from engine.errors import UserError

from .conftest import CHATML

Make = Callable[..., Path]


def kinds(document: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {finding["kind"]: (finding["severity"], finding["count"]) for finding in document["findings"]}


def test_a_sound_file(make_model: Make, make_rows: Make) -> None:
    rows = make_rows([{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(200)])
    said: list[dict[str, Any]] = []
    document = inspect_data({"source": str(rows), "model": str(make_model(CHATML))}, said.append)
    json.dumps(document)
    assert (document["rows"], document["format"], document["findings"], document["worst"]) == (200, "prompt_completion", [], None)
    assert document["template"] == {"kind": "model", "note": ""}
    lengths = document["lengths"]
    assert sum(bar[2] for bar in lengths["histogram"]) == 200
    assert lengths["p50"] <= lengths["p99"] <= lengths["longest"] <= lengths["suggested"]
    summary = DataSummary.from_dict(document["summary"])
    assert summary.rows == 200 and summary.held_out_suggestion == 20 and summary.trained_tokens < summary.total_tokens
    first = document["previews"][0]
    assert len(document["previews"]) == 10
    assert [piece["kind"] for piece in first["pieces"]] == ["context", "trained"]
    assert first["pieces"][1]["text"] == "It is 0.<|im_end|>\n"
    assert said


def test_without_a_model_there_are_turns_and_no_tokens(make_rows: Make) -> None:
    document = inspect_data({"source": str(make_rows([{"prompt": "a", "completion": "b"}] * 3)), "previews": 2, "first_preview": 2})
    assert document["lengths"] is None and document["summary"] is None
    assert [preview["row"] for preview in document["previews"]] == [2, 3]
    assert document["previews"][0]["turns"][1] == {"role": "assistant", "content": "b", "trained": True}


def test_findings_are_counted_with_their_first_row(make_model: Make, make_rows: Make) -> None:
    rows: list[Any] = [{"prompt": f"q{n}", "completion": '{"a": 1}'} for n in range(120)]
    rows[10] = {"prompt": "q10", "completion": '{"a": 1'}
    rows[20] = rows[21] = rows[22]
    rows[30] = {"prompt": "q", "completion": None}
    rows[40] = {"prompt": "q40", "completion": '{"a": "%s"}' % ("x" * 900)}
    document = inspect_data({"source": str(make_rows(rows)), "model": str(make_model()), "sequence_length": 256})
    found = kinds(document)
    assert found["invalid JSON"] == ("warn", 1)
    assert found["duplicates"] == ("note", 2)
    assert found["null"] == ("warn", 1)
    assert found["cut"] == ("note", 1)
    wheres = {finding["kind"]: finding["where"].rsplit(":", 1)[1] for finding in document["findings"]}
    assert (wheres["invalid JSON"], wheres["duplicates"], wheres["null"], wheres["cut"]) == ("11", "22", "31", "41")


def test_what_blocks(make_model: Make, make_rows: Make) -> None:
    long = make_rows([{"prompt": "x" * 300, "completion": "a"}] * 20, name="long.jsonl")
    model = str(make_model())
    document = inspect_data({"source": str(long), "model": model, "sequence_length": 128})
    assert kinds(document)["nothing to learn"] == ("block", 20) and document["worst"] == "block"
    endless = make_model("{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}", name="endless")
    document = inspect_data({"source": str(long), "model": str(endless)})
    assert kinds(document)["no end"] == ("block", 20)
    finding = next(finding for finding in document["findings"] if finding["kind"] == "no end")
    assert finding["remedy"] == {"data.template": "plain"}


def test_unknown_columns_can_be_mapped(make_rows: Make) -> None:
    path = str(make_rows([{"id": 1, "a": "question", "b": ["x"], "c": "answer"}] * 3))
    document = inspect_data({"source": path})
    assert document["format"] == "" and document["worst"] == "block"
    assert document["columns"] == ["id", "a", "b", "c"] and document["sample"][0]["fields"]["a"] == "question"
    mapped = inspect_data({"source": path, "map": {"prompt": "a", "completion": "c"}})
    assert mapped["format"] == "prompt_completion" and mapped["previews"][0]["turns"][1]["content"] == "answer"


def test_labels_are_shown_with_counts(make_file: Make) -> None:
    path = make_file("a.csv", "text,label\n" + "".join(f"text {n},{'spam' if n % 20 == 0 else 'ham'}\n" for n in range(200)))
    document = inspect_data({"source": str(path)})
    assert document["labels"] == {"ham": 190, "spam": 10}
    assert kinds(document)["uneven labels"][0] == "warn"


def test_bad_requests(make_file: Make) -> None:
    with pytest.raises(UserError):
        inspect_data({})
    with pytest.raises(UserError, match="no rows"):
        inspect_data({"source": str(make_file("a.jsonl", "\n"))})
