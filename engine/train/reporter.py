"""What a run says about itself: events, and a small snapshot for viewers that come later.

Several threads report (the trainer and the pulse), so one lock stands around the event log.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import deque
from typing import Any, Literal

from engine.errors import UserError
from engine.runs.events import EventLog
from engine.runs.files import write_atomic
from engine.runs.identity import identity
from engine.runs.kills import memory_record
from engine.runs.store import Run

BACKLOG_LIMIT = 100_000
"""Events kept in memory while the disk is full; some 30 MB at most."""

BALLAST_BYTES = 262_144
"""Kept on the disk only to be removed when it is full, so that the last events still find room."""

SMOOTHING = 0.05
"""Weight of the newest step in the smoothed pace: a step about twenty steps ago still counts a third."""


Voice = Literal["first", "relayed", "silent"]
"""first: of an engine that has just started. relayed: of another process of the same start, such as rank 0 after its
launcher. silent: of a process that does not write the run directory; its warnings go to the log."""


class Reporter:
    """The voice of the engine. Every method may be called from any thread and never raises OSError."""

    def __init__(self, run: Run, voice: Voice = "first") -> None:
        before = run.state()
        self.run = run
        self._guard = threading.Lock()
        self._log = EventLog(run.events_path) if voice != "silent" else None
        self._ballast = run.path / ".ballast"
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._ballast.write_bytes(bytes(BALLAST_BYTES))
        self._backlog: deque[tuple[str, dict[str, Any]]] = deque(maxlen=BACKLOG_LIMIT)
        self._started = time.monotonic()
        self._elapsed_before = 0.0
        self._pace_seconds = 0.0
        self.last_progress = time.monotonic()
        self.memory_bytes = 0
        self.last_error: UserError | None = None
        self.state: dict[str, Any] = {
            "v": 1, "phase": "starting", "step": 0, "total_steps": 0, "epoch": 0.0, "loss": None, "eval_loss": None,
            "lr": None, "tokens_per_second": None, "elapsed_seconds": 0.0, "eta_seconds": None, "heartbeat": 0,
            "started": time.time(), "updated": time.time(), "stop_reason": None,
            "start_step": 0,
            "fruitless_starts": _fruitless_starts(before), **memory_record(), **identity(),
        }  # fmt: skip
        for name in ("step", "total_steps", "epoch", "loss", "eval_loss"):
            self.state[name] = before.get(name, self.state[name])  # stands until this engine knows where it goes on
        if voice != "first":
            for name in ("start_step", "fruitless_starts"):
                self.state[name] = before.get(name, self.state[name])
            self._elapsed_before = float(before.get("elapsed_seconds") or 0.0)

    @property
    def elapsed_seconds(self) -> float:
        """Working time of the run, of this engine and of those before it."""
        return self._elapsed_before + time.monotonic() - self._started

    @property
    def step_seconds(self) -> float:
        """The smoothed time of one optimizer step; 0 before the first."""
        return self._pace_seconds

    def go_on_from(self, step: int, elapsed_seconds: float) -> None:
        """Count on from what an earlier engine did."""
        self._elapsed_before = elapsed_seconds
        self.state["step"] = self.state["start_step"] = step

    def tick(self) -> None:
        """Say that the main thread moves; the watchdog looks at this."""
        self.last_progress = time.monotonic()

    def event(self, kind: str, /, *, durable: bool = False, **fields: Any) -> None:
        """Write an event. While the disk is full, events wait in memory and are written later, in order."""
        if self._log is None:
            if kind in {"warning", "error"}:
                sys.stderr.write(f"{kind}: {fields}\n")
            return
        with self._guard:
            self._backlog.append((kind, fields))
            self._flush(self._log, durable)

    def _flush(self, log: EventLog, durable: bool) -> None:
        try:
            while self._backlog:
                kind, fields = self._backlog[0]
                log.write(kind, **fields)
                self._backlog.popleft()
            if durable:
                log.sync()
        except OSError as error:
            sys.stderr.write(f"events wait in memory: {error}\n")
            with contextlib.suppress(OSError):  # read-only by now: there is no room to be made
                self._ballast.unlink(missing_ok=True)  # room for the next ones, of which one may be the last

    def phase(self, name: str, detail: str = "") -> None:
        """Enter a phase of the run."""
        self.tick()
        self.state["phase"] = name
        self.event("phase", phase=name, detail=detail)
        self.write_state()

    def warning(self, what: str, where: str = "", fix: str = "", **fields: Any) -> None:
        """Say something that a person should know and that does not end the run."""
        self.event("warning", what=what, where=where, fix=fix, **fields)

    def error(self, error: UserError) -> None:
        """Say what ends the run."""
        self.last_error = error
        self.event("error", durable=True, **error.as_dict())

    def end(self, reason: str, detail: str = "") -> None:
        """The last word: finished, stopped or failed."""
        self.state["stop_reason"] = reason
        self.state["stop_detail"] = detail
        self.state["phase"] = "done" if reason == "finished" else reason
        self.state["eta_seconds"] = 0.0 if reason == "finished" else None
        self.event("end", durable=True, reason=reason, step=self.state["step"],
                   seconds=round(self.elapsed_seconds, 3), detail=detail)  # fmt: skip
        self.write_state()

    def step(self, seconds: float, **fields: Any) -> None:
        """One finished optimizer step that took `seconds`; fields as the event `step` has them."""
        self.tick()
        pace = self._pace_seconds
        self._pace_seconds = seconds if pace == 0 else pace + SMOOTHING * (seconds - pace)
        state = self.state
        for name in ("step", "total_steps", "epoch", "loss", "lr", "tokens_per_second"):
            state[name] = fields[name]
        state["eta_seconds"] = self._pace_seconds * max(0, fields["total_steps"] - fields["step"])
        self.event("step", seconds=round(seconds, 4), mem=self.memory_bytes, **fields)

    def write_state(self) -> None:
        """Replace the snapshot; called once a second by the pulse and at every change of phase."""
        if self._log is None:
            return
        with self._guard:
            state = self.state
            state["heartbeat"] += 1
            state.update(updated=time.time(), mono=time.monotonic(), elapsed_seconds=round(self.elapsed_seconds, 3),
                         memory_bytes=self.memory_bytes)  # fmt: skip
            text = json.dumps({name: _finite(value) for name, value in state.items()})
            try:
                write_atomic(self.run.state_path, text)
            except OSError as error:
                sys.stderr.write(f"the snapshot was not written: {error}\n")

    def move(self, run: Run, fresh_log: bool) -> None:
        """Report into `run` from now on: the same directory under another name, or a new one with a log of its own."""
        with self._guard:
            self.run = run
            self._ballast = run.path / ".ballast"
            if fresh_log and self._log is not None:
                self._log.close()
                self._log = EventLog(run.events_path)

    def close(self) -> None:
        """Give the event log and the ballast back."""
        if self._log is None:
            return
        with contextlib.suppress(OSError):
            self._ballast.unlink(missing_ok=True)
        self._log.close()


def _fruitless_starts(before: dict[str, Any]) -> int:
    """How many engines in a row were lost before they got further than where they had begun."""
    if not before or before.get("stop_reason") or int(before.get("step") or 0) > int(before.get("start_step") or 0):
        return 0
    return int(before.get("fruitless_starts") or 0) + 1


def _finite(value: Any) -> Any:
    """JSON has no NaN: a number that is none becomes a string, as in events."""
    return str(value) if isinstance(value, float) and value - value != 0 else value
