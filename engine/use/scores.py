"""How good answers are: pure functions from answers and expected answers to numbers with confidence intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.use.answer_kinds import Task, has_valid_syntax, read_json_answer
from engine.use.json_scores import canonical, score_fields
from engine.use.overlap import chrf_score, f1, rouge_l
from engine.use.shares import share


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


def _score_json(answers: Sequence[str], expected: Sequence[str]) -> Scores:
    values = [read_json_answer(answer) for answer in answers]
    wanted = [read_json_answer(text) for text in expected]
    exact = [a is not None and canonical(a) == canonical(b) for a, b in zip(values, wanted, strict=True)]
    flags = {"valid": [value is not None for value in values], "exact_match": exact}
    return Scores({**_shares(flags), "fields": score_fields(values, wanted)}, flags)


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
    return f1(hits / found if found else 0.0, hits / asked if asked else 0.0)


def _plain(text: str) -> str:
    """Outer and repeated spaces do not make an answer another one."""
    return " ".join(text.split())
