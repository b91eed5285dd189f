"""What came of a run, in words: what a run's page shows at its end. Pure, but for a look into the result folder."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from engine.plan.record import read_plan
from engine.runs.history import History
from engine.runs.liveness import Liveness
from engine.runs.store import Run
from tui.charts.decimate import Series
from tui.charts.scale import number as short
from tui.steps.words import gigabytes
from tui.text import one_line
from tui.watch.event_words import memory_words
from tui.watch.words import Piece, elapsed

LABEL = 12


def summary(
    run: Run, history: History, alive: Liveness | None, smooth: Series, seconds: float, width: int
) -> list[list[Piece]]:
    """The rows of the summary, wrapped to `width` cells; empty while the run goes on."""
    reason = reason_of_end(history, alive)
    if not reason:
        return []
    rows: list[list[Piece]] = [_headline(history, reason)]
    for label, text in facts_of_end(run, history, reason, smooth, seconds):
        rows += _wrapped(label, text, width)
    return rows


def facts_of_end(run: Run, history: History, reason: str, smooth: Series, seconds: float) -> Iterator[tuple[str, str]]:
    """What came of the run so far, as (label, sentence)."""
    if reason == "failed" and history.error is not None:
        told = (("what", "what"), ("where", "where"), ("fix", "to mend it"))
        yield from ((label, str(history.error[key])) for key, label in told if history.error.get(key))
    elif reason == "lost":
        yield "what", "The engine was killed, or the machine went down. Nothing saved before that is lost."
    if reason in {"failed", "lost"}:
        yield "log", str(run.log_path)
    if len(smooth):
        yield "loss", f"{_digits(smooth.ys[0])} at the start, {_digits(smooth.ys[-1])} at the end (smoothed)"
    if evaluated := _evaluations(history):
        yield "best", evaluated
    if seconds >= 1 and history.step:
        yield "time", f"{elapsed(seconds)} for {history.step:,} steps"
    if history.rehearsal is not None and (memory := memory_words(history.rehearsal)):
        yield "memory", memory + _simulated(run)
    if reason == "finished" and run.result_dir.is_dir():
        yield "result", str(run.result_dir)


def _simulated(run: Run) -> str:
    """What the plan of the run had simulated for its full length, when it was simulated."""
    memory = read_plan(run.path).get("memory")
    if not isinstance(memory, dict) or memory.get("kind") != "simulation":
        return ""
    return f" At full length {gigabytes(memory.get('allocated_bytes', 0))} were simulated."


def reason_of_end(history: History, alive: Liveness | None) -> str:
    """finished, stopped, failed, lost, or empty while the run goes on."""
    if alive is not None and alive.state == "queued":  # its last allocation ended; another one is to come
        return ""
    if history.ended is not None:
        return str(history.ended.get("reason") or "stopped")
    if alive is not None and alive.state in {"finished", "stopped", "failed", "lost"}:
        return alive.state
    return ""


def _headline(history: History, reason: str) -> list[Piece]:
    of_total = f" of {history.total_steps:,}" if history.total_steps and reason != "finished" else ""
    words: dict[str, list[Piece]] = {
        "finished": [(" Finished", "good"), (f" after {history.step:,} steps.", "plain")],
        "stopped": [(" Stopped and saved", "warn"), (f" at step {history.step:,}{of_total}.", "plain")],
        "failed": [(" Failed", "bad"), (f" at step {history.step:,}{of_total}.", "plain")],
        "lost": [(" Ended without a word", "bad"), (f" after step {history.step:,}{of_total}.", "plain")],
    }
    return words.get(reason, [(f" Ended at step {history.step:,}.", "warn")])


def _evaluations(history: History) -> str:
    values, steps = history.evals.values, history.evals.steps
    finite = [index for index in range(len(values)) if values[index] == values[index]]
    if not finite:
        return ""
    best = min(finite, key=values.__getitem__)
    words = f"held-out loss {_digits(values[best])} at step {steps[best]:,.0f}"
    return words if best == finite[-1] else f"{words}, {_digits(values[finite[-1]])} at the last"


def _digits(value: float) -> str:
    return short(float(f"{value:.4g}"))


def _wrapped(label: str, text: str, width: int) -> list[list[Piece]]:
    lines = textwrap.wrap(one_line(text), max(20, width - LABEL - 2)) or [""]
    rows: list[list[Piece]] = [[(f" {label:<{LABEL}}", "dim"), (lines[0], "plain")]]
    rows += [[(" " * (LABEL + 1) + line, "plain")] for line in lines[1:]]
    return rows
