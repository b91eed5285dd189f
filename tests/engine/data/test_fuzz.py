"""Random bytes, JSON and CSV: no crash, no changed value, and every error with its place."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data.dataset import load_dataset
from engine.data.detect import detect_format
from engine.data.examples import RowProblem
from engine.data.formats import FORMATS, to_example
from engine.data.json_values import JsonError, parse_json
from engine.data.read import read_rows
from engine.data.rows import ReadOptions, ReadReport, Row, as_text, json_text, snippet
from engine.errors import UserError

TIMES = float(os.environ.get("TUNEWRIGHT_FUZZ", "1"))
"""Multiplies the number of examples, for a long run. The suite tries 5 200 in all."""


def tries(examples: int) -> settings:
    """So many examples, none of which may take five seconds."""
    return settings(max_examples=int(examples * TIMES), deadline=5000, suppress_health_check=list(HealthCheck))


fuzz = tries(100)
fast_fuzz = tries(1200)

NAMES = st.sampled_from(
    [
        "prompt",
        "completion",
        "messages",
        "text",
        "label",
        "instruction",
        "output",
        "chosen",
        "rejected",
        "role",
        "content",
        "a\\",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), NAMES
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
ROWS = st.lists(st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=5), min_size=1, max_size=8)
PIECES = st.sampled_from(
    [
        b'{"',
        b'"}',
        b'":',
        b",",
        b"[",
        b"]",
        b"\n",
        b"\r",
        b'"',
        b"\\",
        b"\\u",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\0",
        b"1e",
        b"-0",
        b" ",
        b"\t",
        b";",
        b"null",
        b"a",
    ]
)
BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join))
SUFFIXES = st.sampled_from([".jsonl", ".json", ".csv", ".tsv", ".txt", ".md", ".jsonl.gz", ".csv.bz2"])
CELLS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), max_size=12)


@contextmanager
def written(content: bytes, suffix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{suffix}"
        path.write_bytes(content)
        yield path


@fast_fuzz
@given(BYTES, SUFFIXES, st.booleans())
def test_any_bytes_give_rows_or_a_placed_error(content: bytes, suffix: str, skip: bool) -> None:
    with written(content, suffix) as path:
        try:
            for row in read_rows(path, options=ReadOptions(skip_bad_rows=skip), report=ReadReport()):
                assert row.line >= 1 and isinstance(row.fields, dict)
        except UserError as error:
            assert "rows" in error.where and error.what and error.fix
            assert error.what.isprintable() or "\n" not in error.what


@fuzz
@given(ROWS, st.booleans(), st.sampled_from([None, 1]), st.sampled_from([".jsonl", ".json"]))
def test_json_rows_come_back_unchanged(
    rows: list[dict[str, Any]], ascii_only: bool, indent: int | None, suffix: str
) -> None:
    def dump(value: object) -> str:
        return json.dumps(value, ensure_ascii=ascii_only, indent=indent if suffix == ".json" else None)

    text = "\n".join(map(dump, rows)) if suffix == ".jsonl" else dump(rows)
    try:
        content = text.encode()
    except UnicodeEncodeError:
        return
    with written(content, suffix) as path:
        try:
            read = [row.fields for row in read_rows(path)]
        except UserError as error:
            assert "surrogate" in error.what and "\\ud" in text.lower()
            return
    assert read == rows
    assert json.loads(json_text(read)) == rows


@fuzz
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8), st.sampled_from([",", ";", "\t"]))
def test_csv_cells_come_back_unchanged(rows: list[list[str]], delimiter: str) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([["prompt", "completion", "label"], *rows])
    with written(stream.getvalue().encode(), ".csv") as path:
        read = [
            list(row.fields.values()) for row in read_rows(path, options=ReadOptions(delimiter=delimiter, header=True))
        ]
    assert read == rows


@fast_fuzz
@given(st.text(max_size=60))
def test_parsing_agrees_with_python_or_is_stricter(text: str) -> None:
    try:
        value = parse_json(text)
    except JsonError:
        return
    assert value == json.loads(text)


@fast_fuzz
@given(st.text(alphabet='{}[]":,\\ ab01-.eE\n', max_size=40))
def test_parsing_json_like_text(text: str) -> None:
    try:
        value = parse_json(text)
    except JsonError:
        return
    assert value == json.loads(text)
    pairs = json.loads(text, object_pairs_hook=lambda found: found and len(dict(found)) == len(found) or not found)
    assert pairs is not False, "a doubled key was lost"


@fuzz
@given(ROWS)
def test_any_rows_are_recognised_or_refused(rows: list[dict[str, Any]]) -> None:
    read = [Row(number, fields, number, "rows.jsonl") for number, fields in enumerate(rows, 1)]
    found = detect_format(read)
    assert 0 <= found.confidence <= 1 and found.reason
    for row in read:
        for name in [found.name] if found.name else FORMATS:
            columns = found.map or {role: role for role in (*FORMATS[name].required, *FORMATS[name].optional)}
            try:
                example = to_example(row, name, columns)
            except RowProblem as problem:
                assert problem.kind and str(problem).endswith((".", ":"))
                continue
            assert example.turns and all(isinstance(turn.content, str) for turn in example.turns)


@fuzz
@given(ROWS)
def test_nothing_is_lost_between_rows_and_examples(rows: list[dict[str, Any]]) -> None:
    try:
        content = "\n".join(json.dumps(row) for row in rows).encode()
    except UnicodeEncodeError:
        return
    with written(content, ".jsonl") as path:
        try:
            dataset = load_dataset(str(path))
        except UserError:
            return
    assert dataset.rows == len(rows) == dataset.usable + dataset.left_out + len(dataset.skipped)


@fast_fuzz
@given(st.text(max_size=300))
def test_snippets_are_safe_to_show(text: str) -> None:
    assert snippet(text).isprintable()
    assert as_text(text) == text
