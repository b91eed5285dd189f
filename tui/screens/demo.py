"""The answers of the demo: the tiny model and the rows that come with the program."""

from __future__ import annotations

from pathlib import Path

from tui.answers import Answers

REASON = "comes with the demo"


def demo_directory() -> Path:
    """Where the demo's model and rows are."""
    import assets

    return Path(next(iter(assets.__path__))) / "demo"


def demo_answers() -> Answers:
    """The three answers of the demo, kept in memory: they never take the place of unfinished answers."""
    place = demo_directory()
    answers = Answers()
    answers.put("need", "task", "recommended", REASON)
    answers.put("goal", "structured", "recommended", REASON)
    answers.put("model.source", str(place / "model"), "recommended", REASON)
    answers.put("data.source", str(place / "data" / "orders.jsonl"), "recommended", REASON)
    return answers
