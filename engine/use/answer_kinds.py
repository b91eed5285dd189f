"""What kind of answer a data set asks for: text, a label, JSON or code; and reading an answer as one."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any, Literal

Task = Literal["classification", "json", "code", "answer", "text"]


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
