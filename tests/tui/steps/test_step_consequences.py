"""What the answers lead to: memory, steps, rows that are cut."""

from __future__ import annotations

import pytest

from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps.consequences import consequences, rows_cut
from tui.steps.facts import Facts, Found
from tui.steps.words import count, duration, gigabytes, shown


def test_nothing_is_claimed_before_machine_and_model_are_known() -> None:
    assert consequences(Answers(), Facts()) is None


def test_memory_is_said_by_part_the_largest_first() -> None:
    found = consequences(fakes.answers(), fakes.facts())
    assert found is not None
    assert found.kind == "estimate"
    assert sum(part.size_bytes for part in found.parts) == found.total_bytes
    assert found.parts[0].name == "weights"
    assert found.fits and found.problem is None
    assert found.free_bytes == 23 * fakes.GIB


def test_what_does_not_fit_names_the_change_that_mends_it() -> None:
    answers = fakes.answers()
    answers.put("method.name", "full")
    found = consequences(answers, fakes.facts())
    assert found is not None and not found.fits
    assert found.problem is not None and found.problem.remedy is not None


def test_steps_follow_rows_batch_and_epochs() -> None:
    answers, facts = fakes.answers(), fakes.facts()
    found = consequences(answers, facts)
    assert found is not None
    assert found.steps == 90  # 475 rows in batches of 16 are 30 steps, three times
    answers.put("training.max_steps", 12)
    found = consequences(answers, facts)
    assert found is not None and found.steps == 12


@pytest.mark.parametrize(("length", "cut"), [(128, 5), (190, 0), (64, 250), (4096, 0)])
def test_rows_that_are_cut_are_counted(length: int, cut: int) -> None:
    answers = fakes.answers()
    answers.put("training.sequence_length", length)
    assert rows_cut(answers, fakes.facts()) == cut


def test_raw_text_is_split_so_it_makes_more_steps_and_is_not_cut() -> None:
    answers, facts = fakes.answers(), fakes.facts()
    data = dict(facts.data.value or {})
    summary = {"rows": 500, "trained_tokens": 1_023_500, "total_tokens": 1_024_000, "p50": 900, "p95": 9_000,
               "p99": 40_000, "longest": 60_000, "format": "text", "held_out_suggestion": 25}  # fmt: skip
    facts.data.value = {**data, "format": "text", "summary": summary}
    answers.put("training.sequence_length", 512)
    found = consequences(answers, facts)
    assert found is not None and found.rows_cut == 0
    assert found.steps == 402  # 2,250 pieces, 475 of 500 rows of them learned: 134 steps of 16, three times


def test_unknown_lengths_are_not_guessed() -> None:
    assert rows_cut(Answers(), Facts()) is None


def test_a_late_answer_to_an_old_question_is_dropped() -> None:
    found: Found[int] = Found()
    assert found.ask("a")
    assert not found.ask("a")
    assert found.ask("b")
    assert not found.settle("a", 1)
    assert found.busy and found.value is None
    assert found.settle("b", 2)
    assert (found.busy, found.value) == (False, 2)
    assert not found.ask(None)
    assert found.value is None


def test_a_kept_finding_stays_in_sight_until_the_new_one_is_there() -> None:
    found: Found[int] = Found()
    found.ask("a")
    found.settle("a", 1)
    found.ask("b", keep=True)
    assert (found.busy, found.value) == (True, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(gigabytes(512 * 1024**2), "512 MiB"), (gigabytes(11.2 * 1024**3), "11.2 GiB"), (gigabytes(2e12), "1863 GiB"),
     (count(494_000_000), "494 million"), (count(7e9), "7 billion"), (count(812), "812"), (duration(40), "40 s"),
     (duration(6000), "1 h 40 min"), (duration(200_000), "2 days 7 h"), (shown(True), "true"),
     (shown(["a", "b"]), "a,b"), (shown(2e-4), "0.0002"), (shown({"prompt": "q"}), "{prompt = 'q'}")],
)  # fmt: skip
def test_numbers_in_words(text: str, expected: str) -> None:
    assert text == expected
