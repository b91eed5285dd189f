"""Figures from answers."""

import pytest

from engine.use.scores import Share, score_answers, task_of


def test_wilson_interval_against_published_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 and 15 of 148, and the two ends
    assert Share(81, 263).interval() == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Share(15, 148).interval() == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert Share(0, 20).interval() == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert Share(0, 0).interval() == (0.0, 1.0)


@pytest.mark.parametrize(
    ("expected", "format_name", "task"),
    [
        (['{"a": 1}', "[1]"], "input_output", "json"),
        (['{"a": 1}', "x"], "input_output", "answer"),
        (["1", "2"], "instruction", "answer"),
        (["ham"], "classification", "classification"),
        (["anything"], "text", "text"),
        ([], "messages", "answer"),
    ],
)
def test_task_is_read_from_the_answers(expected: list[str], format_name: str, task: str) -> None:
    assert task_of(expected, format_name) == task


def test_json_answers() -> None:
    expected = ['{"a": 1, "b": [true, "x"]}', '{"a": 2}', '{"a": 3}', '{"a": true}']
    answers = [' {"b": [true, "x"], "a": 1.0}\n', '{"a": 9}', 'Sure: {"a": 3}', '{"a": 1}']
    figures = score_answers("json", answers, expected)
    assert (figures["valid"]["hits"], figures["exact_match"]["hits"], figures["valid"]["count"]) == (3, 1, 4)
    assert figures["fields"]["precision"] == pytest.approx(3 / 5)
    assert figures["fields"]["recall"] == pytest.approx(3 / 6)


@pytest.mark.parametrize("answer", ["NaN", '{"a": Infinity}', "[" * 100_000, ""])
def test_what_is_not_json_is_not_valid(answer: str) -> None:
    assert score_answers("json", [answer], ["{}"])["valid"]["hits"] == 0


def test_labels() -> None:
    expected = ["ham", "ham", "spam", "spam"]
    figures = score_answers("classification", ["ham", "spam", " spam\n", "eggs"], expected)
    assert figures["accuracy"]["value"] == 0.5
    assert figures["known_label"]["value"] == 0.75
    assert figures["confusion"] == {"ham": {"ham": 1, "spam": 1}, "spam": {"eggs": 1, "spam": 1}}
    assert figures["f1"] == pytest.approx({"ham": 2 / 3, "spam": 0.5})
    assert figures["macro_f1"] == pytest.approx(7 / 12)


def test_free_answers_match_whatever_the_spaces() -> None:
    assert score_answers("answer", ["a  b\n", "c"], ["a b", "C"])["exact_match"]["hits"] == 1
