"""JSON in all the shapes in which people keep rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.data.json_values import JsonError, parse_json
from engine.data.read import read_rows
from engine.data.rows import ReadOptions, ReadReport, as_text
from engine.errors import UserError

MakeFile = Callable[[str, "str | bytes"], Path]


def test_numbers_keep_their_digits() -> None:
    fields = parse_json('{"a": 150.50, "b": 1e400, "c": 123456789012345678901234567890, "d": -0, "e": 7, "f": [0.10]}')
    assert [as_text(value) for value in fields.values()] == [
        "150.50", "1e400", "123456789012345678901234567890", "-0", "7", "[0.10]",
    ]  # fmt: skip
    assert json.dumps(fields["a"]) == "150.5", "templates see an ordinary number"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": ":", "a": "x\\":"}', "twice"),
        ('{"a\\\\": 1, "a\\\\": ":)"}', "twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": 1,}', "comma|double quotes"),
        ('{"a": "x\ty"}', "control character"),
        ("[" * 100_000, "nested"),
        ('{"a": 1} x', "more"),
        ("\x0c{}", "value is missing"),
        ("", "value is missing"),
    ],
)
def test_what_is_not_json_is_refused_with_its_reason(text: str, words: str) -> None:
    with pytest.raises(JsonError, match=words):
        parse_json(text)


@pytest.mark.parametrize(
    "text", ['{"a": "x\\":", "b": ":y", "c": {"d": " : "}}', '{"a" :1, "b": "\\\\\\":"}', '"\\ud83d\\ude00"']
)
def test_colons_and_escapes_in_texts_mislead_nobody(text: str) -> None:
    assert parse_json(text) == json.loads(text)


def test_a_broken_line_is_named(make_file: MakeFile) -> None:
    lines = ['{"prompt": "hi", "completion": "yo"}'] * 50
    lines[36] = '{"prompt": "hi\x1b[31m", "completion": '
    path = make_file("rows.jsonl", "\n".join(lines))
    rows = read_rows(path)
    with pytest.raises(UserError) as caught:
        list(rows)
    assert caught.value.where == f"{path}:37" and "37" in caught.value.what
    assert "\x1b" not in caught.value.what, "the line is shown cleaned"
    report = ReadReport()
    kept = list(read_rows(path, options=ReadOptions(skip_bad_rows=True), report=report))
    assert len(kept) == 49 and report.bad_row_count == 1 and report.bad_rows[0].where.endswith(":37")
    assert kept[36].line == 38


def test_python_dictionaries_and_trailing_commas_are_recognised(make_file: MakeFile) -> None:
    for name, text, words in (
        ("python.jsonl", "{'prompt': 'a', 'completion': None}\n", "Python"),
        ("commas.jsonl", '{"a": "b"},\n{"a": "c"},\n', "comma behind"),
        ("nul.jsonl", '{"a": "b"}\n\x00\x00\n', "NUL"),
    ):
        with pytest.raises(UserError, match=words):
            list(read_rows(make_file(name, text)))


@pytest.mark.parametrize(
    ("name", "text", "count", "note"),
    [
        ("array.json", '[{"a": 1}, {"a": 2}]', 2, ""),
        ("array.jsonl", '[\n{"a": 1},\n {"a": 2}]', 2, "one JSON value"),
        ("wrapped.json", '{"version": 1, "data": [{"a": 1}, {"a": 2}]}', 2, 'under "data"'),
        ("one.json", '{"messages": [{"role": "user", "content": "x"}]}', 1, ""),
        ("pretty.jsonl", '{\n "a": 1\n}\n{\n "a": 2\n}\n', 2, "one JSON value"),
        ("lines.json", '{"a": 1}\n{"a": 2}\n{"a": 3}\n', 3, ""),
        ("crlf.jsonl", '{"a": 1}\r\n\r\n{"a": 2}\r\n', 2, ""),
        ("cr.jsonl", '{"a": 1}\r{"a": 2}\r', 2, ""),
        ("texts.json", '["one", "two"]', 2, ""),
    ],
)
def test_every_layout_gives_its_rows(make_file: MakeFile, name: str, text: str, count: int, note: str) -> None:
    report = ReadReport()
    rows = list(read_rows(make_file(name, text), report=report))
    assert len(rows) == count
    assert note in " ".join(report.notes)


def test_a_named_list_of_a_wrapper_is_the_split(make_file: MakeFile) -> None:
    path = make_file("both.json", '{"train": [{"a": 1}], "test": [{"a": 2}, {"a": 3}]}')
    assert [row.fields["a"] for row in read_rows(path, options=ReadOptions(split="test"))] == [2, 3]
    with pytest.raises(UserError, match="validation"):
        list(read_rows(path, options=ReadOptions(split="validation")))


def test_lines_are_right_inside_an_array_that_spans_blocks(make_file: MakeFile) -> None:
    rows = [{"a": "x" * 500, "n": number} for number in range(6000)]
    path = make_file("big.json", "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    read = list(read_rows(path))
    assert [row.fields for row in read] == rows
    assert [row.line for row in read] == list(range(2, 6002))
    broken = path.read_text().replace('"n": 5000', '"n": 50 00', 1)
    with pytest.raises(UserError) as caught:
        list(read_rows(make_file("broken.json", broken)))
    assert caught.value.where.endswith(":5002")


def test_a_row_must_be_an_object(make_file: MakeFile) -> None:
    for name, text in (("a.jsonl", '{"a": 1}\n3\n'), ("b.json", '[{"a": 1},\n[2]]')):
        with pytest.raises(UserError) as caught:
            list(read_rows(make_file(name, text)))
        assert caught.value.where.endswith(":2")


def test_encodings_are_certain_or_asked(make_file: MakeFile) -> None:
    text = '{"prompt": "café", "completion": "x"}\n'
    report = ReadReport()
    assert (
        next(read_rows(make_file("bom.jsonl", b"\xef\xbb\xbf" + text.encode()), report=report)).fields["prompt"]
        == "café"
    )
    assert "byte order mark" in report.notes[0]
    assert next(read_rows(make_file("utf16.jsonl", text.encode("utf-16")))).fields["prompt"] == "café"
    latin = make_file("latin.jsonl", ('{"prompt": "a"}\n' + text).encode("latin-1"))
    with pytest.raises(UserError) as caught:
        list(read_rows(latin))
    assert caught.value.where.endswith(":2") and "0xE9" in caught.value.what
    assert "cp1252" in caught.value.fix and "café" in caught.value.fix
    assert list(read_rows(latin, options=ReadOptions(encoding="cp1252")))[1].fields["prompt"] == "café"
    with pytest.raises(UserError, match="utf-9"):
        list(read_rows(latin, options=ReadOptions(encoding="utf-9")))
    with pytest.raises(UserError, match="UTF-16"):
        list(read_rows(make_file("bare.jsonl", text.encode("utf-16-le"))))


def test_limit_streams(make_file: MakeFile) -> None:
    path = make_file("rows.jsonl", '{"a": 1}\n{"a": 2}\nbroken\n')
    assert [row.number for row in read_rows(path, 2)] == [1, 2]
