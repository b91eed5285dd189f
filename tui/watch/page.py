"""The rows of the training screen that are made of words: verdict, newest events, next keys. Pure."""

from __future__ import annotations

import re

from engine.runs.history import History
from tui.verdict import judge
from tui.watch.event_words import note_of
from tui.watch.lines import LossLines
from tui.watch.telemetry import Reading

Piece = tuple[str, str]
TAIL_ROWS = 5
NEXT_KEYS: dict[str, tuple[tuple[str, str], ...]] = {
    "finished": (("p", "talk with it"), ("x", "export it"), ("q", "back")),
    "stopped": (("r", "go on"), ("p", "talk with it"), ("q", "back")),
    "failed": (("l", "log"), ("r", "go on from the last checkpoint"), ("q", "back")),
    "lost": (("r", "go on from the last checkpoint"), ("l", "log"), ("q", "back")),
}
NEXT_WITHOUT_CHECKPOINT: dict[str, tuple[tuple[str, str], ...]] = {
    "stopped": (("r", "start it again"), ("q", "back")),
    "failed": (("l", "log"), ("r", "start it again"), ("q", "back")),
    "lost": (("r", "start it again"), ("l", "log"), ("q", "back")),
}


def verdict_row(history: History, lines: LossLines, reason: str, wide: bool, width: int = 1000) -> list[Piece]:
    """How the run is going and why, in whole sentences of at most `width` cells; once it has ended only what there is
    to worry about, since the summary follows."""
    if not history.step and not reason:
        return [(" Getting ready.", "key"), (" The curve begins with the first step.", "dim")]
    verdict = judge(history, lines.raw, lines.smooth)
    if reason and verdict.mood not in {"warn", "bad"}:
        return []
    row: list[Piece] = [(f" {verdict.words}", verdict.mood)]
    if told := whole_sentences(verdict.reason, width - len(verdict.words) - 2):
        row.append((f" {told}", "dim"))
    if verdict.advice and wide:
        row.append((f" {verdict.advice}", "plain"))
    return row


def whole_sentences(text: str, room: int) -> str:
    """The first sentences of `text` that fit into `room` cells; a half one would be read as a whole."""
    kept = ""
    for sentence in re.split(r"(?<=[.:]) ", text):
        longer = f"{kept} {sentence}".strip()
        if len(longer) > room:
            break
        kept = longer
    return kept


def tail_rows(history: History) -> list[list[Piece]]:
    """The newest events, oldest first."""
    notes = [note for event in history.notes[-2 * TAIL_ROWS :] if (note := note_of(event)) is not None]
    return [[(f" {note.clock} ", "dim"), (note.text, note.look)] for note in notes[-TAIL_ROWS:]]


def next_row(reason: str, saved: bool) -> list[list[Piece]]:
    """What one can do with a run that has ended so; `saved` is whether it has a checkpoint."""
    if reason not in NEXT_KEYS:
        return []
    keys = NEXT_KEYS[reason] if saved else NEXT_WITHOUT_CHECKPOINT.get(reason, NEXT_KEYS[reason])
    row: list[Piece] = [(f" {'next':<12}", "dim")]
    for key, words in keys:
        row += [(f" {key} ", "key"), (f"{words}  ", "plain")]
    return [row]


def worked_seconds(history: History, reading: Reading | None) -> float:
    """How long a run has worked: the engine's own count, else the time between its first and its last word."""
    told = (history.ended or {}).get("seconds")
    if isinstance(told, int | float):
        return float(told)
    if reading is not None and reading.elapsed_seconds:
        return reading.elapsed_seconds
    return max(0.0, history.last_time - history.first_time)
