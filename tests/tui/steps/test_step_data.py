"""The Data step: files, formats, findings and rows as they are rendered."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.data.formats import FORMATS
from engine.errors import UserError
from engine.recipe_keys import KEYS
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import data, data_words
from tui.steps.facts import Facts
from tui.steps.looking import data_summary


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UserError) as failure:
        data.apply(Answers(), Facts(), str(tmp_path / "order.jsonl"))
    assert "orders.jsonl" in failure.value.fix


def test_a_missing_folder_is_said() -> None:
    with pytest.raises(UserError) as failure:
        data.apply(Answers(), Facts(), "/nowhere/rows.jsonl")
    assert "/nowhere" in failure.value.fix


def test_a_dataset_on_the_hub_is_named_by_owner_and_name() -> None:
    answers = Answers()
    data.apply(answers, Facts(), "owner/orders")
    assert answers.text("data.source") == "owner/orders"
    with pytest.raises(UserError):
        data.apply(answers, Facts(), "folder/orders.jsonl")


def test_an_unknown_ending_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "rows.docx").write_text("", encoding="utf-8")
    with pytest.raises(UserError) as failure:
        data.apply(Answers(), Facts(), str(tmp_path / "rows.docx"))
    assert ".jsonl" in failure.value.fix


def test_another_file_forgets_how_the_old_one_was_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    answers = fakes.answers()
    data.apply_format(answers, Facts(), "instruction")
    data.apply(answers, Facts(), str(tmp_path / "rows.csv"))
    assert answers.text("data.source").endswith("rows.csv")
    assert not answers.text("data.format")


def test_auto_leaves_the_format_to_the_program() -> None:
    answers = Answers()
    data.apply_format(answers, Facts(), "text")
    assert answers.text("data.format") == "text"
    data.apply_format(answers, Facts(), "auto")
    assert not answers.text("data.format")


def test_every_format_has_a_title() -> None:
    assert set(KEYS["data.format"].choices) <= set(data_words.FORMAT_TITLES)
    assert set(FORMATS) <= set(data_words.FORMAT_TITLES)


def test_the_lines_say_format_reason_and_lengths() -> None:
    text = "\n".join(data_words.facts_lines(fakes.facts()))
    assert "500 rows, read as instruction." in text
    assert "99 % up to 128, the longest 190" in text
    assert "9,000 tokens are learned" in text


def test_findings_block_or_warn_and_carry_their_remedy() -> None:
    facts = fakes.facts()
    facts.data.value = {**fakes.data(), "findings": [
        {"severity": "block", "what": "All answers are empty.", "where": "/x/a.jsonl:3", "fix": "Fill them."},
        {"severity": "warn", "what": "Rows are cut.", "remedy": {"training.sequence_length": 256}},
    ]}  # fmt: skip
    worst, mild = data.validate(fakes.answers(), facts)
    assert worst.blocking and worst.where == "a.jsonl:3"
    assert not mild.blocking
    assert mild.remedy is not None and mild.remedy.value == 256


def test_a_row_comes_in_pieces_with_their_kind() -> None:
    (preview,) = fakes.data()["previews"]
    assert list(data_words.preview_pieces(preview)) == [("<user>two pizzas please<assistant>", "context"),
                                                  ('{"pizza": 2}', "trained")]  # fmt: skip


def test_a_row_without_a_model_shows_its_turns() -> None:
    preview = {"turns": [{"role": "user", "content": "hi", "trained": False}]}
    assert list(data_words.preview_pieces(preview)) == [("user: ", "note"), ("hi\n", "context")]


def test_the_planner_gets_the_summary_only_when_rows_were_measured() -> None:
    assert data_summary(fakes.data()) is None
    summary = {"rows": 5, "trained_tokens": 1, "total_tokens": 2, "p50": 1, "p95": 1, "p99": 1, "longest": 1,
               "format": "text", "held_out_suggestion": 1}  # fmt: skip
    found = data_summary({"summary": summary})
    assert found is not None and found.rows == 5


def test_files_nearby_are_offered(tmp_path: Path) -> None:
    for name in ("b.csv", "a.jsonl", "notes.md", "requirements.txt"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert [path.name for path in data.nearby_files((tmp_path,))] == ["a.jsonl", "b.csv"]


@pytest.mark.parametrize("name", ["a.tsv", "a.md", "a.ndjson", "a.jsonl.gz", "a.csv.zst", "A.JSON.BZ2"])
def test_every_ending_that_the_engine_reads_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    answers = Answers()
    data.apply(answers, Facts(), str(tmp_path / name))
    assert answers.text("data.source") == str(tmp_path / name)
    assert [path.name for path in data.nearby_files((tmp_path,))] == ([] if name.endswith(".md") else [name])


def test_the_endings_are_those_of_the_engine() -> None:
    from engine.data.packed import packed_suffix
    from engine.data.source import ROW_SUFFIXES, row_suffix

    assert set(data.SUFFIXES) == set(ROW_SUFFIXES)
    for name in ("a.jsonl.gz", "a.csv", "a.b.ZST", "a", "a.gz"):
        assert data.ending(Path(name)) == row_suffix(Path(name))
    assert all(packed_suffix(Path(f"a{suffix}")) == suffix for suffix in data.PACKED)


def test_an_encoding_is_offered_from_what_the_reader_said(tmp_path: Path) -> None:
    from engine.data.read import read_rows

    facts = Facts()
    assert data.offered_encoding(facts) == ("", "")
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"text": "caf\u00e9"}\n'.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        list(read_rows(path))
    facts.data.ask("q")
    facts.data.settle("q", None, caught.value)
    codec, words = data.offered_encoding(facts)
    assert codec == "cp1252" and "caf\u00e9" in words
