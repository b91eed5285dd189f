"""Lengths in characters, what follows from them, and classes with their numbers."""

from __future__ import annotations

import pytest

from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import data_words, lengths
from tui.steps.facts import Facts


@pytest.mark.parametrize("most", [1, 3, 12])
def test_bars_keep_every_row_and_fit(most: int) -> None:
    bars = [[n * 64, n * 64 + 64, rows] for n, rows in enumerate([5, 900, 40, 0, 1, 7, 300])]
    lines = lengths.histogram_lines({"lengths": {"histogram": bars}}, 60, "#", most)
    assert 1 <= len(lines) <= most and max(map(len, lines)) <= 60
    drawn = [line.replace("to", "").split() for line in lines]
    assert sum(int(parts[2].replace(",", "")) for parts in drawn) == 1253
    assert all(("#" in line) == (parts[2] != "0") for line, parts in zip(lines, drawn, strict=True))
    assert lines[0].split()[0] == "0" and lines[-1].split()[2] == "447"


def test_no_lengths_no_lines() -> None:
    assert lengths.histogram_lines({"lengths": None}, 60, "#") == lengths.length_lines({}) == []
    assert lengths.advice_lines(Answers(), Facts()) == [] and lengths.label_lines({}) == []


def test_a_sample_is_called_one() -> None:
    found = {**fakes.data()["lengths"], "rows": 100, "sampled_from": 4000}
    assert "from a sample of 100 of 4,000 rows" in lengths.length_lines({"lengths": found})[0]
    assert "from every row" in lengths.length_lines({"lengths": {**found, "sampled_from": 0}})[0]
    facts = fakes.facts()
    facts.data.value = {**fakes.data(), "lengths": found}
    assert "(from a sample of 100)" in " ".join(data_words.facts_lines(facts))


def test_what_each_length_would_cut() -> None:
    text = " ".join(lengths.length_lines({"lengths": fakes.data()["lengths"]}))
    assert "A length of 128 would cut 5 rows (1.0%), 2 answers among them." in text
    assert "would cut" not in " ".join(lengths.length_lines({"format": "text", "lengths": fakes.data()["lengths"]}))


def test_advice_comes_from_the_plan_and_else_from_its_rules() -> None:
    planned = lengths.advice_lines(fakes.answers(), fakes.facts())
    assert "Sequence length: 128. 99 % of the rows are not longer" in planned
    facts = fakes.facts()
    facts.plan.ask(None)
    summary = {"rows": 500, "trained_tokens": 9_000, "total_tokens": 30_000, "p50": 60, "p95": 110, "p99": 128,
               "longest": 190, "format": "instruction", "held_out_suggestion": 25}  # fmt: skip
    facts.data.value = {**fakes.data(), "summary": summary}
    lines = lengths.advice_lines(Answers(), facts)
    assert len(lines) == 3 and lines[0].startswith("Sequence length: 192. The longest row has 190 tokens")
    assert "Packing: off." in lines[2] and "500 rows" in lines[1]


def test_labels_with_their_numbers() -> None:
    result = {"format": "classification", "labels": {"ham": 190, "\U0001f600": 10, "x": 1}}
    assert lengths.label_lines(result) == ["3 labels: ham 190, \U0001f600 10, x 1."]
    assert lengths.label_lines(result, most=1) == ["3 labels: ham 190 and 2 more."]
    assert lengths.label_lines({**result, "format": "kto"}) == []


def test_the_details_hold_every_finding() -> None:
    facts = fakes.facts()
    grave = ("block", "warn", "note")
    entries = [{"severity": grave[n % 3], "what": f"Finding {n}.", "where": f"/x/a.jsonl:{n}", "fix": "Mend it."}
               for n in range(9)]  # fmt: skip
    facts.data.value = {**fakes.data(), "findings": entries, "labels": {"a": 3, "b": 4}}
    text = data_words.detail_text(fakes.answers(), facts, "#")
    assert all(f"Finding {n}. (a.jsonl:{n}) Mend it." in text for n in range(9))
    assert "Must be mended: Finding 0." in text and "###" in text and "a 3, b 4" in text
    facts.data.value = fakes.data()
    assert "Nothing was found to be wrong." in data_words.detail_text(fakes.answers(), facts, "#")


def test_the_first_rows_are_in_sight_while_the_rest_is_read() -> None:
    facts = Facts()
    facts.data.ask("q")
    assert data_words.early_lines(facts) == []
    facts.data.early = {"rows": 50, "format": "instruction", "reason": "Because.", "notes": ["A note."]}
    assert data_words.early_lines(facts) == [
        "The first 50 rows are here, the rest is being read.", "They are read as instruction. Because.", "A note.",
    ]  # fmt: skip
    facts.data.ask("another")
    assert facts.data.early is None
