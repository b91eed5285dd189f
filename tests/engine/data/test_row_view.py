"""The job behind the mask view: any row, the next one with a problem, and what is asked meanwhile."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data import row_walk
from engine.data.preview import LONGEST_PIECE, mark_specials, shortened
from engine.data.row_view import RowView, serve_rows
from engine.data.row_walk import Abandoned, RowWalk
from engine.data.rows import ReadOptions
from engine.errors import UserError

from .conftest import CHATML

Make = Callable[..., Path]


def pairs(number: int) -> list[Any]:
    return [{"prompt": f"question {n}", "completion": f"answer {n}"} for n in range(1, number + 1)]


def test_rows_come_in_any_order_with_little_in_memory(make_rows: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_walk, "RECENT_ROWS", 10)
    walk = RowWalk(str(make_rows(pairs(3000))), ReadOptions())
    for number in (1, 2999, 2995, 5, 6, 3000, 1):
        row = walk.row(number)
        assert row is not None and row.fields["prompt"] == f"question {number}" and row.line == number
        assert len(walk._recent) <= 10
    assert walk.row(3001) is None and walk.total == 3000 and walk.row(0) is None
    assert walk.row(3000) is not None


def test_a_row_that_cannot_be_read_is_said_and_the_ones_before_it_stay(make_file: Make) -> None:
    path = make_file("a.jsonl", '{"prompt": "a", "completion": "b"}\n' * 5 + "{oh\n" + '{"prompt": "c"}\n')
    walk = RowWalk(str(path), ReadOptions())
    with pytest.raises(UserError) as caught:
        walk.row(6)
    assert caught.value.where == f"{path}:6"
    row = walk.row(2)
    assert row is not None and row.line == 2


def test_the_walk_stops_when_something_else_is_wanted(make_rows: Make) -> None:
    walk = RowWalk(str(make_rows(pairs(5000))), ReadOptions(), wanted=lambda number: number < 2000)
    with pytest.raises(Abandoned):
        walk.row(4000)
    assert walk.row(1999) is not None


def test_the_next_row_with_a_problem(make_rows: Make, make_model: Make) -> None:
    rows = pairs(300)
    rows[149]["completion"] = "long " * 40  # cut inside the answer
    rows[199]["prompt"] = "long " * 40  # nothing learned
    rows[249]["completion"] = None  # in no format
    request = {"source": str(make_rows(rows)), "model": str(make_model(CHATML)), "sequence_length": 128}
    with RowView(request) as view:
        found = [view.answer({"after": number})["row"] for number in (1, 150, 200)]
        assert [row["number"] for row in found] == [150, 200, 250]
        assert "loses its end" in found[0]["problems"][0] and found[0]["kept_tokens"] == 128
        assert "Nothing of this row is learned" in found[1]["problems"][0] and found[1]["trained_tokens"] == 0
        assert "null" in found[2]["problems"][0]
        assert view.answer({"after": 250}) == {"end": 300} == view.answer({"row": 301})
        good = view.answer({"row": 7})["row"]
    assert good["problems"] == [] and good["specials"] == {"<|im_start|>": 2, "<|im_end|>": 2}
    kinds = [(piece["text"], piece["kind"]) for piece in good["pieces"] if piece["special"]]
    assert kinds[-1] == ("<|im_end|>", "trained") and kinds[0] == ("<|im_start|>", "context")
    assert "".join(piece["text"] for piece in good["pieces"] if piece["kind"] == "trained") == "answer 7<|im_end|>\n"


def test_an_answer_that_never_ends_is_a_problem_of_its_row(make_rows: Make, make_model: Make) -> None:
    model = make_model("{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}")
    with RowView({"source": str(make_rows(pairs(3))), "model": str(model)}) as view:
        assert "not an end of turn" in view.answer({"row": 1})["row"]["problems"][0]


def test_long_texts_are_not_cut_since_training_splits_them(make_file: Make, make_model: Make) -> None:
    path = make_file("a.txt", "x" * 500 + "\n")
    with RowView({"source": str(path), "model": str(make_model()), "sequence_length": 64}) as view:
        row = view.answer({"row": 1})["row"]
    assert row["problems"] == [] and {piece["kind"] for piece in row["pieces"]} == {"trained"}


def test_the_newest_request_wins_and_an_error_ends_nothing(make_file: Make, make_model: Make) -> None:
    lines = '{"prompt": "a", "completion": "b"}\n' * 20 + "{oh\n"
    waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    said: list[dict[str, Any]] = []

    def requests() -> Iterator[dict[str, Any]]:
        while (request := waiting.get()) is not None:
            yield request

    def emit(message: dict[str, Any]) -> None:
        said.append(message)
        following: list[dict[str, Any] | None] = [{"row": 21}, {"row": 2}, None]
        waiting.put(following[len(said) - 1])

    first = {"source": str(make_file("a.jsonl", lines)), "model": str(make_model(CHATML))}
    assert serve_rows(first, emit, requests()) == {}
    assert [message.get("row", {}).get("number") for message in said] == [1, None, 2]
    assert said[1]["error"]["where"].endswith("a.jsonl:21")


def test_specials_split_pieces_and_the_longest_text_wins() -> None:
    pieces = [{"text": "a<|end|>b<|end|>x", "kind": "context"}]
    parts = mark_specials(pieces, {"<|end|>", "<|end|>x", "|"})
    assert [(part["text"], part["special"]) for part in parts] == [
        ("a", False), ("<|end|>", True), ("b", False), ("<|end|>x", True),
    ]  # fmt: skip
    assert mark_specials(pieces, ()) == pieces


def test_what_is_not_shown_is_counted() -> None:
    assert shortened("a" * LONGEST_PIECE) == "a" * LONGEST_PIECE
    text = shortened("a" * LONGEST_PIECE + "b" * 1000)
    assert "1,000 characters not shown" in text and text.endswith("b") and text.startswith("a")
