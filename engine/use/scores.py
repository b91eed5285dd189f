"""How good answers are: pure functions from answers and expected answers to numbers with confidence intervals."""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["classification", "json", "code", "answer", "text"]

Z = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


@dataclass(frozen=True)
class Share:
    """A share of `count` rows with its 95 % Wilson interval, which is honest for few rows and for 0 % and 100 %."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        return self.hits / self.count if self.count else 0.0

    def interval(self) -> tuple[float, float]:
        """E. B. Wilson (1927), JASA 22, 209-212."""
        if not self.count:
            return 0.0, 1.0
        n, p = self.count, self.value
        centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval()
        return {"value": self.value, "low": low, "high": high, "hits": self.hits, "count": self.count}


def share(flags: Sequence[bool]) -> Share:
    return Share(sum(flags), len(flags))


def task_of(expected: Sequence[str], format_name: str) -> Task:
    """Which kind of answer a data set asks for, from its format and the expected answers themselves."""
    if format_name == "text":
        return "text"
    if format_name == "classification":
        return "classification"
    if expected and all(isinstance(read_json_answer(text), dict | list) for text in expected):
        return "json"
    if expected and sum(is_python(text) for text in expected) >= 0.9 * len(expected):
        return "code"
    return "answer"


def read_json_answer(text: str) -> Any:
    """The JSON value that an answer consists of; None when it is not JSON from its first to its last character."""
    try:
        return json.loads(text.strip(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_FENCE = re.compile(r"^\s*```[\w+-]*\n(.*?)\n?```\s*$", re.DOTALL)


def code_of(text: str) -> str:
    """The code in an answer: inside its fence when the answer is one fenced block, else the answer itself."""
    fenced = _FENCE.match(text)
    return fenced.group(1) if fenced else text


def has_valid_syntax(text: str) -> bool:
    """True when the code parses as Python. Nothing is run."""
    try:
        ast.parse(code_of(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def is_python(text: str) -> bool:
    """True when a text parses as Python and holds more than names and numbers, as plain words may."""
    if not has_valid_syntax(text):
        return False
    kinds = (ast.Call, ast.Assign, ast.FunctionDef, ast.Import, ast.ImportFrom, ast.Return, ast.For, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.walk(ast.parse(code_of(text))))


@dataclass(frozen=True)
class Scores:
    """`figures` for people and files; `flags` by row for figures that are shares, so that sides can be compared."""

    figures: dict[str, Any]
    flags: dict[str, list[bool]]


def score_answers(task: Task, answers: Sequence[str], expected: Sequence[str]) -> Scores:
    """Every figure that fits the task, each with its interval where it is a share of rows."""
    if task == "json":
        return _score_json(answers, expected)
    if task == "classification":
        return _score_labels(answers, expected)
    flags = {"exact_match": [_plain(a) == _plain(b) for a, b in zip(answers, expected, strict=True)]}
    if task == "code":
        flags["syntax"] = [has_valid_syntax(answer) for answer in answers]
    overlap = [rouge_l(answer, want) for answer, want in zip(answers, expected, strict=True)]
    figures: dict[str, Any] = {"rouge_l": sum(overlap) / len(overlap) if overlap else 0.0}
    chrf = chrf_score(answers, expected)
    figures |= {} if chrf is None else {"chrf": chrf}
    return Scores({**_shares(flags), **figures}, flags)


def _shares(flags: dict[str, list[bool]]) -> dict[str, Any]:
    return {name: share(values).as_dict() for name, values in flags.items()}


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
    return _f1(lengths[-1] / len(left), lengths[-1] / len(right))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def chrf_score(answers: Sequence[str], expected: Sequence[str]) -> float | None:
    """chrF of the whole set, 0 to 1, by sacrebleu; None where that is not installed or there are no rows."""
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        return None
    return float(CHRF().corpus_score(list(answers), [list(expected)]).score) / 100 if answers else None


def _score_json(answers: Sequence[str], expected: Sequence[str]) -> Scores:
    values = [read_json_answer(answer) for answer in answers]
    wanted = [read_json_answer(text) for text in expected]
    exact = [a is not None and _canonical(a) == _canonical(b) for a, b in zip(values, wanted, strict=True)]
    flags = {"valid": [value is not None for value in values], "exact_match": exact}
    return Scores({**_shares(flags), "fields": _score_fields(values, wanted)}, flags)


def _canonical(value: Any) -> str:
    """One text for one JSON value: key order does not count, and neither does 1 against 1.0; true is not 1."""
    return json.dumps(_numbers(value), sort_keys=True)


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _score_fields(values: Sequence[Any], wanted: Sequence[Any]) -> dict[str, float]:
    """Precision, recall and F1 over leaves (path and value) of all rows together."""
    hits = found = asked = 0
    for value, want in zip(values, wanted, strict=True):
        left, right = Counter(_leaves(value)), Counter(_leaves(want))
        hits += sum((left & right).values())
        found += sum(left.values())
        asked += sum(right.values())
    precision = hits / found if found else 0.0
    recall = hits / asked if asked else 0.0
    return {"precision": precision, "recall": recall, "f1": _f1(precision, recall)}


def _leaves(value: Any, path: str = "$") -> list[str]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}")]
    if isinstance(value, list) and value:
        return [leaf for item in value for leaf in _leaves(item, f"{path}[]")]
    return [] if value is None and path == "$" else [f"{path}={_canonical(value)}"]


def _score_labels(answers: Sequence[str], expected: Sequence[str]) -> Scores:
    labels = sorted({_plain(text) for text in expected})
    given = [_plain(answer) for answer in answers]
    wanted = [_plain(text) for text in expected]
    pairs = Counter(zip(wanted, given, strict=True))
    f1s = {label: _label_f1(label, pairs) for label in labels}
    confusion = {want: {answer: count for (w, answer), count in sorted(pairs.items()) if w == want} for want in labels}
    figures = {
        "known_label": share([answer in labels for answer in given]).as_dict(),
        "macro_f1": sum(f1s.values()) / len(f1s) if f1s else 0.0,
        "f1": f1s,
        "confusion": confusion,
    }
    flags = {"accuracy": [a == b for a, b in zip(given, wanted, strict=True)]}
    return Scores({**_shares(flags), **figures}, flags)


def _label_f1(label: str, pairs: Counter[tuple[str, str]]) -> float:
    hits = pairs[label, label]
    found = sum(count for (_, answer), count in pairs.items() if answer == label)
    asked = sum(count for (want, _), count in pairs.items() if want == label)
    return _f1(hits / found if found else 0.0, hits / asked if asked else 0.0)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _plain(text: str) -> str:
    """Outer and repeated spaces do not make an answer another one."""
    return " ".join(text.split())
