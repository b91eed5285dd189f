"""Whole collections of files: the bad ones people have, JSONTestSuite, csvkit's, and real datasets."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import load_dataset
from engine.data.json_cursor import JsonCursor
from engine.data.json_values import JsonError, parse_json
from engine.data.read import read_rows
from engine.data.rows import ReadOptions, ReadReport, as_text
from engine.errors import UserError

from .bad_files import BadFile, bad_files


def test_there_are_as_many_bad_files_as_were_measured() -> None:
    assert len(list(bad_files())) >= 59


@pytest.mark.parametrize("bad", list(bad_files()), ids=lambda bad: bad.name)
def test_a_bad_file_is_read_right_or_named(bad: BadFile, tmp_path: Path) -> None:
    if bad.name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    path = bad.write(tmp_path)
    report = ReadReport()
    if bad.rows >= 0:
        assert sum(1 for _ in read_rows(path, report=report)) == bad.rows
        assert bad.note in " ".join(report.notes)
        return
    with pytest.raises(UserError) as caught:
        list(read_rows(path, report=report))
    said = str(caught.value)
    assert any(words in said for words in bad.words.split("|")), said
    assert bad.name in caught.value.where and caught.value.fix
    if bad.line:
        assert caught.value.where.endswith(f"{bad.name}:{bad.line}")


def test_json_test_suite(shared: Path) -> None:
    """y_ must parse to what Python parses it to, n_ must not, and no i_ may crash; also through small blocks."""
    checked = 0
    for path in sorted((shared / "data/datasets/nasty/JSONTestSuite").glob("*.json")):
        kind, raw = path.name[0], path.read_bytes()
        for how in (_whole, _in_blocks):
            try:
                value: Any = how(raw.decode())
                parsed = True
            except (JsonError, UnicodeDecodeError):
                parsed = False
            assert kind != "y" or (parsed and value == json.loads(raw)) or "duplicated" in path.name, path.name
            assert kind != "n" or not parsed, path.name
        checked += 1
    assert checked > 200


def _whole(text: str) -> Any:
    return parse_json(text)


def _in_blocks(text: str) -> Any:
    cursor = JsonCursor(text[at : at + 3] for at in range(0, len(text), 3))
    value = cursor.value()
    if cursor.peek():
        raise JsonError("more")
    return value


def test_csvkit_files(shared: Path) -> None:
    folder = shared / "data/datasets/nasty/csvkit"
    refused = {
        "dummy.xlsx",
        "sheets.xlsx",
        "empty.csv",
        "test_empty_columns.csv",
        "test_extra_header.csv",
        "test_latin1.csv",
    }
    for path in sorted(folder.iterdir()):
        try:
            rows = [list(row.fields.values()) for row in read_rows(path)]
        except UserError as error:
            assert path.name in refused, str(error)
            continue
        assert path.name not in refused
        if path.suffix not in {".csv", ".tsv"} or path.name == "no_header_row.csv":
            continue
        encoding = "utf-16" if "utf16" in path.name else "utf-8-sig"
        text = path.read_bytes().decode(encoding)
        wanted = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",")
            if row
        ]
        assert rows == [row[: len(rows[0])] for row in wanted[1:]], path.name


REAL = {
    "chat/axolotl_conversation.json": (1, "sharegpt"),
    "chat/messages_reason_tool_use_50.jsonl": (50, "messages"),
    "chat/messages_typed_parts_v1_sft.jsonl": (500, "messages"),
    "chat/openai_toy_chat_fine_tuning.jsonl": (5, "messages"),
    "chat/sharegpt_dummy_conversation.json": (500, "sharegpt"),
    "chat/torchtune_chat_tiny.json": (1, "sharegpt"),
    "classification/derived_sst2_train.tsv": (6920, "classification"),
    "classification/movie_reviews_MR.txt": (10662, "text"),
    "classification/sms_spam_kaggle.csv": (5572, "classification"),
    "classification/trec_test.txt": (500, "text"),
    "classification/trec_train.txt": (5452, "text"),
    "extraction/derived_restaurant8k_test.jsonl": (3731, "instruction"),
    "extraction/derived_restaurant8k_train_1.jsonl": (4099, "instruction"),
    "extraction/glaive_toolcall_en_demo.json": (300, "sharegpt"),
    "instruct/alpaca_en_demo.json": (999, "instruction"),
    "instruct/alpaca_tiny.json": (100, "instruction"),
    "instruct/alpaca_zh_demo.json": (1000, "instruction"),
    "instruct/identity.json": (91, "instruction"),
    "kto/kto_en_demo.json": (300, "kto"),
    "multilingual/derived_xquad_ar_instruct.jsonl": (1190, "instruction"),
    "multilingual/xquad.zh.json": (48, "text"),
    "nasty/derived_banking77_test_semicolon_cp1252.csv": (3080, "classification"),
    "nasty/derived_gsm8k_utf8bom_crlf_dups.jsonl": (160, "prompt_completion"),
    "nasty/derived_one_huge_line.jsonl": (2, "text"),
    "nasty/twinkle_test10.jsonl": (15, ""),
    "nasty/twinkle_test4.csv": (112, "classification"),
    "nasty/wandb_history.parquet": (999, ""),
    "preference/dpo_en_demo.json": (299, "preference"),
    "preference/stack_exchange_paired_tiny.json": (25, "preference"),
    "preference/torchtune_hh_rlhf_tiny.json": (1, "preference"),
    "prompt_completion/derived_gsm8k_test.parquet": (1319, "prompt_completion"),
    "prompt_completion/gsm8k_train_first.jsonl": (5387, "prompt_completion"),
    "prompt_completion/wwdc25_train.jsonl": (1800, "prompt_completion"),
    "prompt_completion/wwdc25_valid.jsonl": (144, "prompt_completion"),
    "rawtext/wiki_demo.txt": (30, "text"),
}
ENCODINGS = {"movie_reviews_MR.txt": "latin-1", "trec_train.txt": "latin-1", "sms_spam_kaggle.csv": "latin-1"}
ENCODINGS["derived_banking77_test_semicolon_cp1252.csv"] = "cp1252"


def test_every_real_dataset_is_recognised(shared: Path) -> None:
    for name, (rows, format_name) in REAL.items():
        path = shared / "data/datasets" / name
        encoding = ENCODINGS.get(path.name, "")
        if encoding:
            with pytest.raises(UserError, match="not UTF-8"):
                list(read_rows(path))
        if not format_name:
            with pytest.raises(UserError, match="No known format"):
                load_dataset(str(path))
            continue
        dataset = load_dataset(str(path), options=ReadOptions(encoding=encoding))
        assert (dataset.rows, dataset.format) == (rows, format_name), name
        assert not dataset.skipped, name


def test_real_values_are_what_pythons_own_parsers_read(shared: Path) -> None:
    for name in REAL:
        path = shared / "data/datasets" / name
        encoding = ENCODINGS.get(path.name, "utf-8-sig")
        rows = [row.fields for row in read_rows(path, options=ReadOptions(encoding=ENCODINGS.get(path.name, "")))]
        if path.suffix == ".jsonl":
            assert rows == [json.loads(line) for line in path.read_text(encoding).split("\n") if line.strip()], name
        elif path.suffix == ".json" and "xquad" not in name and "axolotl" not in name:
            assert rows == json.loads(path.read_text(encoding)), name
        elif path.suffix in {".csv", ".tsv"}:
            text = path.read_bytes().decode(encoding)
            quoting = csv.QUOTE_NONE if path.suffix == ".tsv" else csv.QUOTE_MINIMAL
            separator = "\t" if path.suffix == ".tsv" else ";" if "semicolon" in name else ","
            wanted = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting))
            assert [list(row.values()) for row in rows] == wanted[1:], name
    number = next(read_rows(shared / "data/datasets/nasty/twinkle_test10.jsonl")).fields["amount"]
    assert as_text(number) == "150.50"


def test_reading_streams(tmp_path: Path) -> None:
    """Memory stays at a few blocks whatever the size of the file."""
    row = json.dumps({"prompt": "x" * 500, "completion": "y" * 500})
    lines, array = tmp_path / "a.jsonl", tmp_path / "b.json"
    lines.write_text((row + "\n") * 20_000)
    array.write_text("[" + ",\n".join([row] * 20_000) + "]")
    for path in (lines, array):
        tracemalloc.start()
        assert sum(1 for _ in read_rows(path)) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12 << 20, f"{path.name}: {peak >> 20} MB of 20 MB"
