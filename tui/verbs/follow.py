"""A run as plain lines: what `train --follow`, `resume --follow` and `attach --plain` print."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Any

from engine.errors import UserError
from engine.runs.control import request
from engine.runs.events import Event, number
from engine.runs.history import History
from engine.runs.liveness import Liveness, liveness
from engine.runs.recover import checkpoint_step
from engine.runs.store import Run
from tui.steps.words import duration, gigabytes
from tui.text import one_line
from tui.verbs.output import say
from tui.verbs.places import word_for
from tui.verbs.queue_watch import QueueWatch
from tui.watch.event_words import note_of

POLL_SECONDS = 0.25
FIRST_PROCESS = 1
"""The pid of the process whose end is the end of its container."""
FIRST_GAP_SECONDS = 2.0
LONGEST_GAP_SECONDS = 60.0
PROMPT_LETTERS, ANSWER_LETTERS = 60, 160
STATE_CODES = {"finished": 0, "stopped": 3}
"""Exit codes by the state a run has ended in; every other end is a failure."""


def follow(run: Run, offset: int = 0) -> int:
    """Print lines until the run has ended, and return the exit code that its end stands for.

    `offset` leaves out the events before that byte, as when a run that is long under way is resumed.

    Ctrl-C leaves the run running: KeyboardInterrupt is answered with a sentence and handed on. SIGTERM leaves it
    running too, but where our end is the run's end (first process of a container, step of a SLURM job) it stops the
    run, and we stay until that is done.
    """
    lines = _Lines(run)
    if os.getpid() == FIRST_PROCESS or "SLURM_JOB_ID" in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: _stop(run))
    try:
        return _until_end(run, lines, History(offset=offset))
    except KeyboardInterrupt:
        word = word_for(run)
        message = f"The run goes on. Look again: tunewright attach {word}. Stop it: tunewright stop {word}."
        print(f"\n{message}", file=sys.stderr, flush=True)
        raise


def _stop(run: Run) -> None:
    """Hand a stop signal on. In a job step the engine may have had it too: a request counts once, a signal twice."""
    with contextlib.suppress(UserError):  # a full disk: the signal of the batch system itself has to do
        request(run, "stop")


def _until_end(run: Run, lines: _Lines, history: History) -> int:
    silent_polls = 0
    waits = QueueWatch(run)
    while True:
        came = lines.take_in(history)
        now = liveness(run)
        if not now.alive and not came:
            silent_polls += 1
            if silent_polls > 1 and not waits.goes_on(now):  # one more look: last lines may come in between
                return _say_end(run, now, lines)
        if came:
            silent_polls = 0
        else:
            time.sleep(POLL_SECONDS)


def _say_end(run: Run, now: Liveness, lines: _Lines) -> int:
    lines.flush()
    word = word_for(run)
    code = STATE_CODES.get(now.state, 1)
    say(f"{run.name}: {now.detail}")
    if now.state == "new" and (last := _last_words(run)):
        say(f"The engine ended before it began: {last}", f"The log has the details: {run.log_path}")
    elif code == 0:
        say(_what_next(run, word))
    elif now.state in {"stopped", "lost", "failed"}:
        if code == 1:
            say(f"The log has the details: {run.log_path}")
        if checkpoint_step(run):
            say(f"Go on from the last checkpoint: tunewright resume {word}.")
        elif now.state != "failed":
            say(f"Nothing was saved yet. Start it again: tunewright resume {word}.")
    return code


def _what_next(run: Run, word: str) -> str:
    """A classification head writes no text, so there is nobody to talk to."""
    with contextlib.suppress(UserError):
        if run.recipe().method.objective == "classify":
            return f"Measure it: tunewright eval {word}. Hand it on: tunewright export {word} --to merged."
    return f"Talk to it: tunewright chat {word}. Hand it on: tunewright export {word} --to ollama."


def _last_words(run: Run) -> str:
    """The last line of the engine's log: why an engine that never got to its first event ended."""
    try:
        lines = run.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return one_line(next((line for line in reversed(lines) if line.strip()), ""))


class _Lines:
    """Turns events into lines. Steps are thinned by time; everything else is said."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._started = time.monotonic()
        self._last_step_line = 0.0
        self._waiting: str = ""
        self._caught_up = False
        self._phases: set[str] = set()
        self._sampled = -1

    def take_in(self, history: History) -> bool:
        """Read what is new and say it; whether anything came. What was written before we came is thinned most."""
        from engine.runs.events import read_events

        events, history.offset, _ = read_events(self.run.events_path, history.offset)
        for event in events:
            history.add(event)
            self._say(event)
        if events and not self._caught_up:
            self.flush()
        self._caught_up = True
        return bool(events)

    def flush(self) -> None:
        """Say the newest step, if it was held back."""
        if self._waiting:
            say(self._waiting)
            self._waiting = ""

    def _say(self, event: Event) -> None:
        if event["type"] == "step":
            self._waiting = step_line(event, self.run.state())
            if self._caught_up and self._due():
                self.flush()
            return
        line = "" if self._said_before(event) else event_line(event)
        if line:
            self.flush()
            say(line)

    def _said_before(self, event: Event) -> bool:
        """Phases come back at every evaluation and checkpoint, and one sample of each evaluation is enough here."""
        if event["type"] == "phase":
            known = event.get("phase") in self._phases
            self._phases.add(str(event.get("phase")))
            return known
        if event["type"] == "sample":
            known = event.get("step") == self._sampled
            self._sampled = event.get("step", -1)
            return known
        return False

    def _due(self) -> bool:
        """A line every two seconds at first, later fewer: a night's log stays readable."""
        now = time.monotonic()
        gap = min(LONGEST_GAP_SECONDS, max(FIRST_GAP_SECONDS, (now - self._started) / 30))
        if now - self._last_step_line < gap:
            return False
        self._last_step_line = now
        return True


def step_line(event: Event, state: dict[str, Any]) -> str:
    """One optimizer step in words."""
    parts = [f"step {event.get('step')}/{event.get('total_steps')}", f"loss {number(event.get('loss')):.4f}"]
    if "epoch" in event:
        parts.insert(1, f"epoch {number(event['epoch']):.2f}")
    if "lr" in event:
        parts.append(f"lr {number(event['lr']):.2e}")
    if "tokens_per_second" in event:
        parts.append(f"{number(event['tokens_per_second']):,.0f} tokens/s")
    if isinstance(event.get("mem"), int | float) and event["mem"] > 0:
        several = event.get("device_mem")
        held = ", ".join(map(gigabytes, several)) if isinstance(several, list) else gigabytes(event["mem"])
        parts.append(f"{held} in use")
    if isinstance(state.get("eta_seconds"), int | float):
        parts.append(f"{duration(state['eta_seconds'])} left")
    return "  ".join(parts)


def event_line(event: Event) -> str:
    """Everything that is not a step, in words; empty for what a person need not read here."""
    kind = event["type"]
    if kind in {"warning", "error", "oom"}:
        return _told(event)
    if kind == "sample":
        prompt = one_line(str(event.get("prompt") or ""), PROMPT_LETTERS)
        return f"Sample: {prompt} -> {one_line(str(event.get('tuned') or ''), ANSWER_LETTERS)}"
    note = None if kind == "end" else note_of(event)
    return note.text if note else ""


def _told(event: Event) -> str:
    """What went wrong, where, and how to mend it, a line each."""
    lines = [f"{event['type'].capitalize()}: {event.get('what', '')}"]
    lines += [f"  {label} {event[key]}" for key, label in (("where", "where:"), ("fix", "mend: ")) if event.get(key)]
    return "\n".join(lines)
