"""Follows a run directory in small bites, so that the screen answers keys even while a million steps are read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.runs.events import VERSION, Event, number, parse_line
from engine.runs.history import History
from engine.runs.store import Run

BITE_BYTES = 96_000
"""One read of the events file: two or three milliseconds of work, so that a key never waits long behind it."""

BUDGET_SECONDS = 0.012
"""How long one call of `poll` may read before it gives the event loop back."""

LONG_BYTES = 4_000_000
"""From this size on a picture made from samples of the file is shown until everything is read."""

SAMPLE_PLACES = 400
SAMPLE_BYTES = 2_048
TAIL_BYTES = 64_000


@dataclass
class Preview:
    """Some steps from all over a long run, read at once: good for a first picture, not for a spike of one step."""

    steps: list[tuple[float, float]] = field(default_factory=list)
    history: History = field(default_factory=History)  # of the last part only: the newest values, evaluations, the end


class Feed:
    """The history of one run, and how far it has been read."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.history = History()
        self._size = 0

    @property
    def behind(self) -> bool:
        """Whether more is written than has been read."""
        return self.history.offset < self._size

    @property
    def share_read(self) -> float:
        """How much of the file has been read, 0.0 to 1.0."""
        return min(1.0, self.history.offset / self._size) if self._size else 1.0

    @property
    def is_long(self) -> bool:
        """Whether reading the rest takes so long that a preview is worth its trouble."""
        return self._size - self.history.offset > LONG_BYTES

    def look(self) -> None:
        """Note how long the file is now. One that became shorter is another one: it is read from its start."""
        try:
            self._size = self.run.events_path.stat().st_size
        except OSError:
            self._size = 0
        if self._size < self.history.offset:
            self.history = History()

    def poll(self, budget_seconds: float = BUDGET_SECONDS) -> int:
        """Take in new events for at most about `budget_seconds`; how many came. Call again while `behind`."""
        self.look()
        end = time.perf_counter() + budget_seconds
        taken = 0
        try:
            with self.run.events_path.open("rb") as stream:
                stream.seek(self.history.offset)
                while events := self._bite(stream.read(BITE_BYTES)):
                    for event in events:
                        self.history.add(event)
                    taken += len(events)
                    if time.perf_counter() > end:
                        break
                    stream.seek(self.history.offset)
        except OSError:
            return taken
        return taken

    def _bite(self, blob: bytes) -> list[Event]:
        """The events on the whole lines of `blob`; moves the offset behind them and counts what is not understood."""
        end = blob.rfind(b"\n") + 1
        if not end:
            # an unfinished line waits for its rest; no line of ours is as long as a bite, so a longer one is foreign
            whole_bite = len(blob) >= BITE_BYTES
            self.history.offset += len(blob) if whole_bite else 0
            self.history.skipped_lines += whole_bite
            self._size = self.history.offset if not whole_bite else self._size
            return []
        self.history.offset += end
        lines = blob[:end].splitlines()
        events = parse_together(lines)
        if events is None:
            events = [event for line in lines if (event := parse_line(line)) is not None]
            self.history.skipped_lines += sum(1 for line in lines if line.strip()) - len(events)
        return events

    def preview(self) -> Preview:
        """Steps sampled evenly over the file, and what its last part says (15 ms for 250 MB)."""
        preview = Preview()
        for event in _sampled(self.run, self._size):
            if event.get("type") == "step":
                preview.steps.append((number(event.get("step")), number(event.get("loss"))))
        for event in _tail(self.run, self._size):
            preview.history.add(event)
            if event.get("type") == "step":
                preview.steps.append((number(event.get("step")), number(event.get("loss"))))
        preview.steps.sort()
        return preview


def parse_together(lines: list[bytes]) -> list[Event] | None:
    """All events of many lines in one call of the parser, twice as fast as line by line; None when any is unusual."""
    try:
        events = json.loads(b"[" + b",".join(lines) + b"]")
    except (ValueError, RecursionError):
        return None
    if len(events) != len(lines):  # two broken lines made one that parses
        return None
    for event in events:
        if type(event) is not dict or event.get("v") != VERSION or type(event.get("type")) is not str:
            return None
    return list(events)


def _sampled(run: Run, size: int) -> Iterator[Event]:
    try:
        with run.events_path.open("rb") as stream:
            for place in range(SAMPLE_PLACES):
                stream.seek(size * place // SAMPLE_PLACES)
                # a read begins and ends within a line, so both ends are left out
                yield from _parsed(stream.read(SAMPLE_BYTES).split(b"\n")[1:-1])
    except OSError:
        return


def _tail(run: Run, size: int) -> Iterator[Event]:
    try:
        with run.events_path.open("rb") as stream:
            stream.seek(max(0, size - TAIL_BYTES))
            yield from _parsed(stream.read(TAIL_BYTES).split(b"\n")[1:])
    except OSError:
        return


def _parsed(lines: list[bytes]) -> Iterator[Event]:
    for line in lines:
        event = parse_line(line)
        if event is not None:
            yield event
