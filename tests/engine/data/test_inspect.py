"""What the data page and `tunewright data` get to know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.inspect import inspect_data
from engine.data.summary import DataSummary
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
    assert (document["rows"], document["format"], document["findings"], document["worst"]) == (
        200,
        "prompt_completion",
        [],
        None,
    )
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
    document = inspect_data(
        {"source": str(make_rows([{"prompt": "a", "completion": "b"}] * 3)), "previews": 2, "first_preview": 2}
    )
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
    endless = make_model(
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}", name="endless"
    )
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
    path = make_file(
        "a.csv", "text,label\n" + "".join(f"text {n},{'spam' if n % 20 == 0 else 'ham'}\n" for n in range(200))
    )
    document = inspect_data({"source": str(path)})
    assert document["labels"] == {"ham": 190, "spam": 10}
    assert kinds(document)["uneven labels"][0] == "warn"


def test_bad_requests(make_file: Make) -> None:
    with pytest.raises(UserError):
        inspect_data({})
    with pytest.raises(UserError, match="no rows"):
        inspect_data({"source": str(make_file("a.jsonl", "\n"))})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key sk-proj-abcdefghijklmnopqrstuvwx", "secrets"),
        ("-----BEGIN RSA PRIVATE KEY-----", "secrets"),
        ("write to a.b@example.org", "e-mail"),
        ("I am {{name}}", "placeholders"),
        ("a\x1b[31m", "control characters"),
        ("a\u202eb", "bidi characters"),
        ("a\u200bb", "invisible characters"),
        ("caf\u00c3\u00a9", "broken letters"),
        ("cafe\u0301", "accents apart"),
        ("\u042f \u0435\u0434\u0443 " * 9, "language mix"),
    ],
)
def test_what_stands_in_texts_is_found(make_rows: Make, text: str, kind: str) -> None:
    rows = [{"prompt": f"question {n}", "completion": f"answer {n}"} for n in range(120)]
    assert inspect_data({"source": str(make_rows(rows, name="clean.jsonl"))})["findings"] == []
    rows[7] = {"prompt": "question 7", "completion": f"answer {text}"}
    (finding,) = inspect_data({"source": str(make_rows(rows))})["findings"]
    assert (finding["kind"], finding["count"], finding["where"].rsplit(":", 1)[1]) == (kind, 1, "8")
    assert "abcdefghij" not in finding["what"], "a secret is not shown"


def test_twins_in_other_letters_and_contradictions(make_rows: Make) -> None:
    rows = [{"prompt": f"question {n}", "completion": f"answer {n}"} for n in range(120)]
    rows += [{"prompt": "Question 3!", "completion": "answer  3"}, {"prompt": "question 5", "completion": "other"}]
    found = kinds(inspect_data({"source": str(make_rows(rows))}))
    assert found == {"near duplicates": ("note", 1), "different answers": ("note", 1)}


def test_what_a_template_does_not_write_is_said(make_model: Make, make_rows: Make) -> None:
    deaf = make_model(CHATML.replace("message['content']", "(message['content'] if message['role'] != 'user' else '')"))
    rows = [{"prompt": f"question {n}", "completion": f"answer {n}"} for n in range(120)]
    rows[9]["completion"] = "ends <|im_end|> early"
    found = kinds(inspect_data({"source": str(make_rows(rows)), "model": str(deaf)}))
    assert found["left out by template"] == ("warn", 120)
    assert found["special tokens"] == ("warn", 1)


def test_a_directory_is_read_by_split(make_rows: Make, tmp_path: Path) -> None:
    for name, count in (("train-0.jsonl", 3), ("train-1.jsonl", 2), ("test.jsonl", 1)):
        make_rows([{"prompt": f"{name} {n}", "completion": "a"} for n in range(count)], name=name)
    (tmp_path / "README.md").write_text("# About")
    document = inspect_data({"source": str(tmp_path)})
    assert document["rows"] == 5 and [preview["row"] for preview in document["previews"]] == [1, 2, 3, 4, 5]
    assert "README.md" in " ".join(document["notes"]) and document["previews"][3]["where"].endswith("train-1.jsonl:1")
    assert inspect_data({"source": str(tmp_path), "split": "test"})["rows"] == 1
    with pytest.raises(UserError, match="validation"):
        inspect_data({"source": str(tmp_path), "split": "validation"})
    (tmp_path / "more.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="mixes"):
        inspect_data({"source": str(tmp_path)})


def test_large_data_is_sampled_and_says_so(make_rows: Make, make_model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.inspect.KEPT_ROWS", 100)
    path = make_rows([{"prompt": f"q{n}", "completion": "a" * (n % 7) + "b"} for n in range(1000)])
    document = inspect_data({"source": str(path), "model": str(make_model())})
    assert (document["rows"], document["usable_rows"], document["sampled_rows"]) == (1000, 1000, 100)
    assert document["lengths"]["sampled_from"] == 1000 and document["lengths"]["rows"] == 100
    whole = 1000 * len("### Instruction:\n\n### Response:\n\n") + 4 * 1000
    assert 0.9 * whole < document["summary"]["total_tokens"] < 1.3 * whole
    assert [preview["row"] for preview in document["previews"]] == list(range(1, 11))


def test_the_job_runs_in_its_own_process_with_limits(make_rows: Make) -> None:
    import os
    import subprocess
    import sys

    path = make_rows([{"prompt": "a", "completion": "b"}] * 3)
    program = (
        "import json, resource, sys\n"
        "from engine.data.inspect import inspect_data\n"
        "print(inspect_data({'source': sys.argv[1]}, lambda message: None)['rows'])\n"
        "print(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CPU)[0])\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'pyarrow', 'numpy', 'textual'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout.split("\n")[:3] == ["3", f"{8 << 30} 3600", "[]"], done.stderr


@pytest.mark.xdist_group("transformers")
def test_a_hub_name_without_a_connection_is_said() -> None:
    pytest.importorskip("datasets")
    with pytest.raises(UserError) as caught:
        inspect_data({"source": "somebody/nothing-here"})
    assert "somebody/nothing-here" in caught.value.what and caught.value.fix


def test_the_first_rows_are_told_before_all_are_read(make_rows: Make) -> None:
    path = make_rows([{"prompt": f"q{n}", "completion": "a"} for n in range(5000)])
    said: list[dict[str, Any]] = []
    document = inspect_data({"source": str(path), "previews": 3}, said.append)
    early = said[0]["early"]
    assert [preview["row"] for preview in early["previews"]] == [1, 2, 3] and early["early"] is True
    assert early["format"] == document["format"] == "prompt_completion"
    assert early["rows"] == 50 < document["rows"] and early["complete"] is False and early["findings"] == []


def test_slow_rows_do_not_delay_the_first_ones() -> None:
    import time

    from engine.data.early import first_rows
    from engine.data.rows import Row

    def slow() -> Iterator[Row]:
        for number in range(1, 60):
            time.sleep(0.02)
            yield Row(number, {})

    rows = slow()
    found = first_rows(rows)
    assert 1 <= len(found) < 20 and next(rows).number == len(found) + 1, "none is lost"
    assert first_rows(iter(())) == []


def test_early_rows_of_an_unknown_format_are_no_error(make_rows: Make) -> None:
    said: list[dict[str, Any]] = []
    path = str(make_rows([{"a": 1, "b": [2]}] * 9))
    assert inspect_data({"source": path}, said.append)["worst"] == "block"
    assert said[0]["early"]["format"] == "" and said[0]["early"]["columns"] == ["a", "b"]
    inspect_data({"source": path, "map": {"prompt": "a", "completion": "b"}}, said.append)


def test_the_length_is_never_beyond_what_the_model_reads(make_rows: Make, make_model: Make) -> None:
    path = str(make_rows([{"prompt": "x" * 300, "completion": f"answer {n}"} for n in range(200)]))
    request = {"source": path, "model": str(make_model()), "context_length": 128}
    document = inspect_data(request)
    assert kinds(document)["nothing to learn"] == ("block", 200)
    (cut,) = [finding for finding in document["findings"] if finding["kind"] == "cut"]
    assert cut["remedy"] == {} and "the model reads 128" in cut["fix"]
    assert "cut" not in kinds(inspect_data({**request, "context_length": 4096}))


def test_long_texts_are_shown_whole_since_they_are_split(make_file: Make, make_model: Make) -> None:
    path = make_file("a.txt", "x" * 500 + "\n" + "y" * 300 + "\n")
    document = inspect_data({"source": str(path), "model": str(make_model()), "sequence_length": 64})
    assert {piece["kind"] for preview in document["previews"] for piece in preview["pieces"]} == {"trained"}
