"""CSV, TSV, text and Parquet."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.data.read import read_rows
from engine.data.rows import ReadOptions, ReadReport
from engine.errors import UserError

MakeFile = Callable[[str, "str | bytes"], Path]


def test_csv_values_stay_the_text_that_was_written(make_file: MakeFile) -> None:
    path = make_file("a.csv", 'prompt,completion\n007,1e5\nTrue,NaN\nNA,null\n 2024-01-01 ,"a ""b""\nc"\n')
    rows = [list(row.fields.values()) for row in read_rows(path)]
    assert rows == [["007", "1e5"], ["True", "NaN"], ["NA", "null"], [" 2024-01-01 ", 'a "b"\nc']]


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("a.csv", "prompt;completion\na;b\n", "semicolon"),
        ("a.csv", "prompt\tcompletion\na\tb\n", "tab"),
        ("a.csv", "sep=;\nprompt;completion\na;b\n", "Excel"),
        ("a.tsv", "prompt\tcompletion\na\tb\n", ""),
        ("a.csv", "prompt,completion\r\na,b\r\n", ""),
        ("a.csv", "prompt,completion\ra,b\r", ""),
        ("a.csv", "prompt,completion\n\n\na,b\n\n", ""),
        ("a.csv", "prompt,completion,\na,b,\n", "no name"),
    ],
)
def test_dialects_are_recognised_and_said(make_file: MakeFile, name: str, text: str, note: str) -> None:
    report = ReadReport()
    rows = list(read_rows(make_file(name, text), report=report))
    assert [(row.fields["prompt"], row.fields["completion"]) for row in rows] == [("a", "b")]
    assert note in " ".join(report.notes) if note else not report.notes


def test_a_first_row_of_data_is_not_eaten(make_file: MakeFile) -> None:
    report = ReadReport()
    path = make_file("a.csv", "what is 2 plus 2?,4\nwhat is 3 plus 3?,6\nwhat is 1 plus 1?,2\n")
    rows = list(read_rows(path, report=report))
    assert len(rows) == 3 and list(rows[0].fields) == ["column 1", "column 2"]
    assert "looks like data" in report.notes[0]
    assert len(list(read_rows(path, options=ReadOptions(header=True)))) == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a,b\n1,2\n1,2,3\n", 3, "3 cells"),
        ("a,b\n1,2\n1\n", 3, "1 cells"),
        ('prompt,completion\nx,y\n"abc,def\nx,y\n', 3, "never closed"),
        ('prompt,completion\n"abc"d,e\n', 2, "closing quote"),
    ],
)
def test_ragged_rows_and_open_quotes_are_named(make_file: MakeFile, text: str, line: int, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        list(read_rows(make_file("a.csv", text)))
    assert caught.value.where.endswith(f"a.csv:{line}")


def test_lines_count_through_cells_with_line_ends(make_file: MakeFile) -> None:
    rows = list(read_rows(make_file("a.csv", 'prompt,completion\n"a\nb\nc",d\ne,f\n')))
    assert [row.line for row in rows] == [2, 5]


def test_doubled_names_are_said(make_file: MakeFile) -> None:
    report = ReadReport()
    row = next(read_rows(make_file("a.csv", "a,a,\n1,2,3\n"), report=report))
    assert row.fields == {"a": "1", "a 2": "2", "column 3": "3"}
    assert "Two columns" in " ".join(report.notes)


def test_quotes_in_tab_separated_text_are_characters(make_file: MakeFile) -> None:
    text = 'sentence\tlabel\n"so he said\t1\nand " then\t0\n'
    rows = list(read_rows(make_file("a.tsv", text)))
    assert [row.fields["sentence"] for row in rows] == ['"so he said', 'and " then']


def test_text_is_lines_or_blocks(make_file: MakeFile) -> None:
    report = ReadReport()
    path = make_file("a.txt", "one\x85still one\u2028\ntwo\r\n")
    assert [row.fields["text"] for row in read_rows(path, report=report)] == [
        "one\x85still one\u2028", "two",
    ]  # fmt: skip
    assert "line" in report.notes[0]
    blocks = list(read_rows(make_file("b.txt", "one\nmore\n\n\ntwo\n")))
    assert [(row.line, row.fields["text"]) for row in blocks] == [(1, "one\nmore"), (5, "two")]
    sections = list(read_rows(make_file("c.md", "intro\n# A\ntext\n```\n# no heading\n```\n## B\nmore\n")))
    assert [row.line for row in sections] == [1, 2, 7]


def test_what_is_no_data_is_called_by_its_name(make_file: MakeFile, tmp_path: Path) -> None:
    for name, content, words in (
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("b.jsonl", b"<!DOCTYPE html><html>404", "web page"),
        ("c.csv", b"PK\x03\x04rest", "Excel"),
        ("d.jsonl", b"", "empty"),
        ("e.jsonl", b"\n\n \n", "no rows"),
        ("f.docx", b"x", "Save its text as .txt"),
        ("f.xlsx", b"x", "Save the sheet as CSV"),
        ("f.tar", b"x", "not a known"),
        ("k.csv", bytes(range(1, 255)) * 9, "is not text"),
        ("g.jsonl.gz", b"plain", "not a gzip"),
        ("h.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9000)[:-20], "incomplete"),
        ("i.parquet", b"PAR1 not really", "not a whole Parquet|not installed"),
        ("j.csv", b"PAR1 not really", "another ending"),
    ):
        with pytest.raises(UserError) as caught:
            list(read_rows(make_file(name, content)))
        assert any(word in str(caught.value) for word in words.split("|")), str(caught.value)
    with pytest.raises(UserError, match="directory"):
        list(read_rows(tmp_path))
    with pytest.raises(UserError, match="device"):
        list(read_rows(Path("/dev/zero")))


def test_a_missing_file_suggests_its_neighbour(make_file: MakeFile) -> None:
    path = make_file("orders.jsonl", "{}")
    with pytest.raises(UserError) as caught:
        list(read_rows(path.with_name("order.jsonl")))
    assert "orders.jsonl" in caught.value.fix


def test_packed_files_read_as_plain_ones(make_file: MakeFile) -> None:
    path = make_file("a.csv.gz", gzip.compress(b"prompt,completion\na,b\n"))
    assert next(read_rows(path)).fields == {"prompt": "a", "completion": "b"}
