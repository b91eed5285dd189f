"""Near duplicates and leaks: found where wording is shared, and not where only the task's words are."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.data.checks_similar import check_leaks, check_similar
from engine.data.examples import Example, Turn
from engine.data.inspect import inspect_data
from engine.data.similar import KEPT_HASHES, NearIndex, common_pieces, likeness, pieces_of

Make = Callable[..., Path]
WORDS = [f"word{n}" for n in range(5000)]


def text(seed: int, words: int = 40) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def pair(question: str, answer: str, row: int = 1) -> Example:
    return Example((Turn("user", question), Turn("assistant", answer)), row, f"a.jsonl:{row}")


def test_a_changed_word_is_found_and_other_text_is_not() -> None:
    examples = [pair(text(n), text(n + 1000), n) for n in range(200)]
    assert check_similar(examples) == []
    words = text(7).split()
    examples.append(pair(" ".join(["another", *words[1:]]), text(1007), 900))
    (finding,) = check_similar(examples)
    assert (finding.kind, finding.severity, finding.count, finding.where) == (
        "near duplicates",
        "note",
        1,
        "a.jsonl:900",
    )
    assert finding.what.startswith("1 row shares at least 80%")


def test_a_fixed_instruction_makes_no_row_alike() -> None:
    fixed = text(1, 80)
    examples = [pair(f"{fixed} {text(n, 9)}", text(n + 1000, 9), n) for n in range(100, 300)]
    assert check_similar(examples) == []


def test_case_and_marks_are_told_apart_from_wording() -> None:
    examples = [pair(text(n), "yes", n) for n in range(50)]
    examples += [pair(text(3).upper() + "!", "Yes.", 51), pair(text(4) + " more", "yes", 52)]
    (finding,) = check_similar(examples)
    assert finding.count == 2 and "1 row repeats an earlier row but for case" in finding.what
    assert "1 row shares" in finding.what


@pytest.mark.parametrize("changed", [0, 5, 20, 60, 100])
def test_sketches_estimate_the_true_likeness(changed: int) -> None:
    one = text(1, 400)
    words = one.split()
    for place in range(changed):
        words[place * 4] = f"other{place}"
    a, b = pair(one, "x"), pair(" ".join(words), "x")
    exact = len(pieces_of(a) & pieces_of(b)) / len(pieces_of(a) | pieces_of(b))
    index = NearIndex()
    first, second = index.sketch(a), index.sketch(b)
    assert first is not None and second is not None and len(first) == KEPT_HASHES
    assert abs(likeness(first, second) - exact) < 0.17  # three standard errors of 64 hashes


def test_nearly_all_alike_rows_are_caught() -> None:
    """300 rows, each with a twin that differs in one of 60 words: likeness about 0.9."""
    examples = [pair(text(n, 60), "same answer", n) for n in range(300)]
    for n in range(300):
        words = text(n, 60).split()
        words[random.Random(n).randrange(60)] = "changed"
        examples.append(pair(" ".join(words), "same answer", 1000 + n))
    (finding,) = check_similar(examples)
    assert finding.count >= 297


def test_chinese_without_blanks_is_compared_by_letters() -> None:
    letters = [chr(0x4E00 + n) for n in range(3000)]
    rows = ["".join(random.Random(n).choices(letters, k=60)) for n in range(40)]
    examples = [pair(row, "好", n) for n, row in enumerate(rows)] + [pair(rows[5][:-1] + "了", "好", 99)]
    (finding,) = check_similar(examples)
    assert finding.count == 1 and finding.where == "a.jsonl:99"
    assert common_pieces(examples) == frozenset()


def test_leaks_into_a_validation_file_exact_and_near(make_rows: Make) -> None:
    rows = [{"prompt": text(n), "completion": text(n + 1000)} for n in range(150)]
    held_out = [rows[3], {**rows[4], "prompt": text(4) + " more"}, {"prompt": text(999), "completion": "new"}]
    train, valid = make_rows(rows), make_rows(held_out, name="valid.jsonl")
    document = inspect_data({"source": str(train), "validation": str(valid)})
    (finding,) = document["findings"]
    assert (finding["kind"], finding["severity"], finding["count"]) == ("leaks", "warn", 2)
    assert "1 of 3 rows of the validation file are also trained on, 1 more nearly" in finding["what"]
    assert finding["where"].endswith("valid.jsonl:1")


def test_no_leak_is_no_finding() -> None:
    assert check_leaks([pair(text(1), "a")], [pair(text(2), "b")]) == []
