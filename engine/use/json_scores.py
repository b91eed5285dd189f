"""How good answers in JSON are: field by field."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine.use.overlap import f1


def canonical(value: Any) -> str:
    """One text for one JSON value: key order does not count, and neither does 1 against 1.0; true is not 1."""
    return json.dumps(_numbers(value), sort_keys=True)


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def score_fields(values: Sequence[Any], wanted: Sequence[Any]) -> dict[str, float]:
    """Precision, recall and F1 over leaves (path and value) of all rows together."""
    hits = found = asked = 0
    for value, want in zip(values, wanted, strict=True):
        left, right = Counter(_leaves(value)), Counter(_leaves(want))
        hits += sum((left & right).values())
        found += sum(left.values())
        asked += sum(right.values())
    precision = hits / found if found else 0.0
    recall = hits / asked if asked else 0.0
    return {"precision": precision, "recall": recall, "f1": f1(precision, recall)}


def _leaves(value: Any, path: str = "$") -> list[str]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}")]
    if isinstance(value, list) and value:
        return [leaf for item in value for leaf in _leaves(item, f"{path}[]")]
    return [] if value is None and path == "$" else [f"{path}={canonical(value)}"]
