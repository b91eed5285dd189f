"""How good answers are: pure functions from answers and expected answers to numbers with confidence intervals."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["classification", "json", "answer", "text"]

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
    return "answer"


def read_json_answer(text: str) -> Any:
    """The JSON value that an answer consists of; None when it is not JSON from its first to its last character."""
    try:
        return json.loads(text.strip(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def score_answers(task: Task, answers: Sequence[str], expected: Sequence[str]) -> dict[str, Any]:
    """Every figure that fits the task, each with its interval where it is a share of rows."""
    if task == "json":
        return _score_json(answers, expected)
    if task == "classification":
        return _score_labels(answers, expected)
    return {"exact_match": share([_plain(a) == _plain(b) for a, b in zip(answers, expected, strict=True)]).as_dict()}


def _score_json(answers: Sequence[str], expected: Sequence[str]) -> dict[str, Any]:
    values = [read_json_answer(answer) for answer in answers]
    wanted = [read_json_answer(text) for text in expected]
    valid = share([value is not None for value in values])
    exact = share([a is not None and _canonical(a) == _canonical(b) for a, b in zip(values, wanted, strict=True)])
    return {"valid": valid.as_dict(), "exact_match": exact.as_dict(), "fields": _score_fields(values, wanted)}


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


def _score_labels(answers: Sequence[str], expected: Sequence[str]) -> dict[str, Any]:
    labels = sorted({_plain(text) for text in expected})
    given = [_plain(answer) for answer in answers]
    wanted = [_plain(text) for text in expected]
    pairs = Counter(zip(wanted, given, strict=True))
    f1s = {label: _label_f1(label, pairs) for label in labels}
    confusion = {want: {answer: count for (w, answer), count in sorted(pairs.items()) if w == want} for want in labels}
    return {
        "accuracy": share([a == b for a, b in zip(given, wanted, strict=True)]).as_dict(),
        "known_label": share([answer in labels for answer in given]).as_dict(),
        "macro_f1": sum(f1s.values()) / len(f1s) if f1s else 0.0,
        "f1": f1s,
        "confusion": confusion,
    }


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
