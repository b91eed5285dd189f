"""How much two texts have in common, by the figures that others report as well."""

from __future__ import annotations

import re
from collections.abc import Sequence


def rouge_l(answer: str, expected: str) -> float:
    """F1 of the longest common subsequence of words, lower case (Lin 2004, ROUGE-L with beta 1).

    Equal to the package rouge-score on words of a-z and 0-9 (tested); that package drops every other letter, so that
    any two answers in Greek or Chinese would be the same to it.
    """
    left, right = _words(answer), _words(expected)
    if not left or not right:
        return float(left == right)
    lengths = [0] * (len(right) + 1)
    for word in left:
        before = 0
        for place, other in enumerate(right, 1):
            kept = lengths[place]
            lengths[place] = before + 1 if word == other else max(lengths[place], lengths[place - 1])
            before = kept
    return f1(lengths[-1] / len(left), lengths[-1] / len(right))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def chrf_score(answers: Sequence[str], expected: Sequence[str]) -> float | None:
    """chrF of the whole set, 0 to 1, by sacrebleu; None where that is not installed or there are no rows."""
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        return None
    return float(CHRF().corpus_score(list(answers), [list(expected)]).score) / 100 if answers else None


def f1(precision: float, recall: float) -> float:
    """The harmonic mean of both; 0 when both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
