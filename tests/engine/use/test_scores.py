"""Figures from answers."""

import random

import pytest

from engine.use.answer_kinds import task_of
from engine.use.overlap import chrf_score, rouge_l
from engine.use.scores import score_answers
from engine.use.shares import Share
from engine.use.verdict import Sameness, loss_difference, mcnemar, sentences, share_difference


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
        (["def f(x):\n    return x + 1", "```python\nprint(1)\n```"], "instruction", "code"),
        (["yes", "no"], "instruction", "answer"),
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
    figures = score_answers("json", answers, expected).figures
    assert (figures["valid"]["hits"], figures["exact_match"]["hits"], figures["valid"]["count"]) == (3, 1, 4)
    assert figures["fields"]["precision"] == pytest.approx(3 / 5)
    assert figures["fields"]["recall"] == pytest.approx(3 / 6)


@pytest.mark.parametrize("answer", ["NaN", '{"a": Infinity}', "[" * 100_000, ""])
def test_what_is_not_json_is_not_valid(answer: str) -> None:
    assert score_answers("json", [answer], ["{}"]).figures["valid"]["hits"] == 0


def test_labels() -> None:
    expected = ["ham", "ham", "spam", "spam"]
    figures = score_answers("classification", ["ham", "spam", " spam\n", "eggs"], expected).figures
    assert figures["accuracy"]["value"] == 0.5
    assert figures["known_label"]["value"] == 0.75
    assert figures["confusion"] == {"ham": {"ham": 1, "spam": 1}, "spam": {"eggs": 1, "spam": 1}}
    assert figures["f1"] == pytest.approx({"ham": 2 / 3, "spam": 0.5})
    assert figures["macro_f1"] == pytest.approx(7 / 12)


def test_free_answers_match_whatever_the_spaces() -> None:
    assert score_answers("answer", ["a  b\n", "c"], ["a b", "C"]).figures["exact_match"]["hits"] == 1


def test_rouge_l_on_lins_example() -> None:
    # Lin (2004), section 3.1: against "police killed the gunman", with beta 1
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert (rouge_l("", ""), rouge_l("a", ""), rouge_l("A b", "a B")) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_rouge_l_equals_the_package_that_others_report_it_with(seed: int) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    numbers = random.Random(seed)
    left, right = (
        " ".join(numbers.choices(["the", "a", "cat", "Sees", "2", "dogs,", "in", "in", "town."], k=length))
        for length in (9, 7)
    )
    assert rouge_l(left, right) == pytest.approx(scorer.score(right, left)["rougeL"].fmeasure)


def test_rouge_l_reads_words_of_every_script() -> None:
    assert rouge_l("ένα δύο τρία", "τέσσερα πέντε") == 0.0


def test_chrf_equals_a_count_by_hand() -> None:
    # "abc" against "abd", character n-grams: 2/3 of one letter, 1/2 of two, 0 of three; sacrebleu averages the orders
    # that both have (effective order 3) before it takes F with beta 2, and precision equals recall here
    pytest.importorskip("sacrebleu")
    assert chrf_score(["abc"], ["abd"]) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3, rel=1e-3)


def test_chrf_comes_from_a_library() -> None:
    pytest.importorskip("sacrebleu")
    assert chrf_score(["the cat"], ["the cat"]) == pytest.approx(1.0)
    assert chrf_score([], []) is None


def test_code_is_parsed_and_never_run(tmp_path: object) -> None:
    answers = ["def f(:\n", "```python\nraise SystemExit\n```", "import os; os.abort()"]
    figures = score_answers("code", answers, ["print(1)"] * 3).figures
    assert figures["syntax"]["hits"] == 2


def test_differences_of_shares_are_paired() -> None:
    better = share_difference([False] * 20 + [True] * 10, [True] * 30)
    assert better.value == pytest.approx(2 / 3) and better.low > 0.4 and better.high < 0.9
    assert better.sure and better.p == pytest.approx(2 / 2**20)
    chance = share_difference([True, False] * 10, [False, True] * 10)
    assert chance.value == 0 and not chance.sure and chance.p == 1.0
    assert share_difference([], []).sure is False


def test_mcnemar_against_the_binomial() -> None:
    # R: binom.test(1, 8)$p.value = 0.0703125, binom.test(5, 10)$p.value = 1
    assert mcnemar(1, 7) == mcnemar(7, 1) == pytest.approx(0.0703125)
    assert mcnemar(5, 5) == 1.0


def test_loss_differences_weigh_rows_by_tokens() -> None:
    difference = loss_difference([10.0, 40.0], [5.0, 20.0], [5, 20])
    assert (difference.value, difference.low, difference.high) == (-1.0, -1.0, -1.0)


def test_sentences_say_better_only_when_the_rows_show_it() -> None:
    base, tuned = {"loss": 2.0, "exact_match": {"value": 0.0}}, {"loss": 1.0, "exact_match": {"value": 0.9}}
    sure = {"loss": loss_difference([2.0] * 9, [1.0] * 9, [1] * 9), "exact_match": share_difference([False], [False])}
    first, second = sentences(sure, base, tuned)
    assert first == "Loss per token: 2.000 before, 1.000 after; better (95 % interval -1.000 to -1.000)."
    assert "no difference that these rows can show" in second


@pytest.mark.parametrize(
    ("sameness", "word"),
    [
        (Sameness(0.0, 0, 6, 5.0), "still zero"),
        (Sameness(0.1, 6, 6, 1e-5), "too few"),
        (Sameness(0.1, 5, 6, 1e-5), ""),
        (Sameness(0.1, 6, 6, 0.5), ""),
        (Sameness(None, 6, 6, 0.0), "too few"),
    ],
)
def test_answers_as_before_are_recognised(sameness: Sameness, word: str) -> None:
    assert (word in sameness.reason()) if word else sameness.reason() == ""
