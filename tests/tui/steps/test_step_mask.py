"""The mask view in words."""

from __future__ import annotations

from tests.tui import wizard_fakes as fakes
from tui.steps import mask

ROW = {
    "number": 8, "where": "/x/rows.jsonl:8", "tokens": 12, "kept_tokens": 8, "trained_tokens": 3, "truncated": True,
    "specials": {"<s>": 1, "</s>": 1}, "problems": ["The answer loses its end."],
    "pieces": [
        {"text": "<s>", "kind": "context", "special": True}, {"text": "ask", "kind": "context", "special": False},
        {"text": "ans", "kind": "trained", "special": False},
        {"text": "wer", "kind": "cut", "special": False}, {"text": "</s>", "kind": "cut", "special": True},
    ],
}  # fmt: skip


def test_marks_tell_learned_and_cut_without_colour() -> None:
    assert "".join(run.text for run in mask.runs(ROW)) == "<s>ask[[ans]]{{wer</s>}}"
    assert [run.text for run in mask.runs(ROW) if run.special] == ["<s>", "</s>"]


def test_the_head_names_the_row_its_place_and_its_tokens() -> None:
    first, second = mask.head_lines(ROW, 20_000)
    assert first == "Row 8 of 20,000, rows.jsonl:8"
    assert second == "12 tokens, 8 kept, 3 learned. Special: <s> 1, </s> 1."
    assert mask.problem_lines(ROW) == ["The answer loses its end."]


def test_a_row_without_a_model_shows_its_turns() -> None:
    row = {"number": 1, "where": "a:1", "problems": [], "turns": [{"role": "user", "content": "hi"}]}
    assert "".join(run.text for run in mask.runs(row)) == "user: hi\n"
    assert "No model" in mask.head_lines(row, 0)[1]


def test_the_request_cuts_at_the_sequence_length_in_force() -> None:
    request = mask.rows_request(fakes.answers(), fakes.facts(), 7)
    assert (request["row"], request["sequence_length"], request["source"]) == (7, 128, "/data/orders.jsonl")


def test_what_is_said_at_the_end() -> None:
    assert mask.end_words({"row": 9}, 5) == "There is no row 9: the data has 5 rows."
    assert "behind row 3" in mask.end_words({"after": 3}, 5)
