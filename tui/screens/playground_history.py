"""What was asked in the playground: kept in the run directory, read again at the next visit, votes counted. Pure."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.runs.store import Run

LONGEST_SHOWN = 200
"""Exchanges that are read again; older ones stay in the file."""
SAME = "same"


@dataclass(frozen=True)
class Exchange:
    """One question with the answers of everybody who was asked; `vote` is a name, "same", or empty."""

    id: str
    question: str
    answers: Mapping[str, str]
    expected: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    vote: str = ""


def history_path(run: Run) -> Path:
    """One JSON object a line: exchanges, and votes that name the exchange they are for."""
    return run.path / "playground.jsonl"


def remember(run: Run, exchange: Exchange) -> None:
    """Add one exchange. Raises OSError when the run directory cannot be written."""
    line = {"id": exchange.id, "time": round(time.time(), 3), "question": exchange.question,
            "answers": dict(exchange.answers), "expected": exchange.expected,
            "sampling": dict(exchange.sampling)}  # fmt: skip
    _append(history_path(run), line)


def vote(run: Run, identity: str, winner: str) -> None:
    """Say which answer of an exchange was better; a later vote for the same exchange takes its place."""
    _append(history_path(run), {"vote": identity, "for": winner})


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """One write for one line, so that two viewers never mix theirs. The file is for its owner alone: it holds rows."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, (json.dumps(line) + "\n").encode())
    finally:
        os.close(handle)


def read_history(run: Run) -> list[Exchange]:
    """What was asked before, in order. A torn line or one of another kind is skipped."""
    try:
        text = history_path(run).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found: dict[str, Exchange] = {}
    for line in map(_parse, text.splitlines()):
        identity = str(line.get("id") or line.get("vote") or "")
        if "question" in line and identity:
            answers = line.get("answers")
            known = {str(k): str(v) for k, v in answers.items()} if isinstance(answers, dict) else {}
            found[identity] = Exchange(identity, str(line["question"]), known, str(line.get("expected", "")))
        elif identity in found and "for" in line:
            old = found[identity]
            found[identity] = Exchange(old.id, old.question, old.answers, old.expected, vote=str(line["for"]))
    return list(found.values())[-LONGEST_SHOWN:]


def _parse(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def tally(exchanges: Iterable[Exchange]) -> dict[str, int]:
    """How often each answer was the better one, and how often both were alike, by name."""
    counts: dict[str, int] = {}
    for exchange in exchanges:
        if exchange.vote:
            counts[exchange.vote] = counts.get(exchange.vote, 0) + 1
    return counts


def tally_words(exchanges: Sequence[Exchange]) -> str:
    """`votes: tuned 3, base 1`; empty without any."""
    counts = tally(exchanges)
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f"votes: {told}" if told else ""
