"""What a run says: one JSON object a line, appended by one writer, read by anybody at any time."""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VERSION = 1
LINE_LIMIT_BYTES = 3500
"""One write of a line below a memory page was never seen torn by a kill; longer ones were (60 kills per size)."""

READ_LIMIT_BYTES = 8_000_000
"""The most that one call of `read_events` takes in, so that a viewer of a long run stays quick."""

Event = dict[str, Any]


class EventLog:
    """The one writer of an events file. Its threads may call it at once; other processes are kept out by the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._torn = False
        self._sequence = _last_sequence(path)
        self._guard = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if _ends_torn(path):
            os.write(self._file, b"\n")

    def write(self, kind: str, /, **fields: Any) -> Event:
        """Append one event with one system call and return it. Raises OSError when the disk is full.

        NaN and infinities become strings. Text that would make the line too long is cut, and the event says so.
        """
        plain = {name: _plain(value) for name, value in fields.items()}
        with self._guard:
            self._sequence += 1
            event: Event = {"v": VERSION, "seq": self._sequence, "t": round(time.time(), 3),
                            "mono": round(time.monotonic(), 3), "type": kind, **plain}  # fmt: skip
            event, line = _fitted(event)
            self._append(line)
        return event

    def _append(self, line: bytes) -> None:
        """One write. A disk that fills up takes a part of a line: the next line must not be glued to it."""
        if self._torn:
            os.write(self._file, b"\n")
            self._torn = False
        written = os.write(self._file, line)
        if written < len(line):
            self._torn = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def sync(self) -> None:
        """Make what was written survive a power cut. A few milliseconds: for changes of state, not for steps."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def read_events(path: Path, offset: int = 0, limit: int = READ_LIMIT_BYTES) -> tuple[list[Event], int, int]:
    """Events from byte `offset` up to the last whole line: (events, next offset, lines that were not understood).

    Never raises: an absent file has no events, and a torn, foreign or newer line is skipped and counted.
    A file that became shorter is read again from its start.
    """
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            start = offset if offset <= size else 0
            stream.seek(start)
            blob = stream.read(limit)
    except OSError:
        return [], offset, 0
    end = blob.rfind(b"\n") + 1
    if end == 0:
        whole_block = len(blob) >= limit  # no line is that long: foreign bytes
        return [], start + (len(blob) if whole_block else 0), int(whole_block)
    events: list[Event] = []
    skipped = 0
    for line in blob[:end].splitlines():
        event = parse_line(line)
        if event is not None:
            events.append(event)
        elif line.strip():
            skipped += 1
    return events, start + end, skipped


def parse_line(line: bytes) -> Event | None:
    """The event on one line, or None when it is none of ours."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(event, dict) and isinstance(event.get("type"), str) and event.get("v") == VERSION
    return event if known else None


def iterate_events(path: Path) -> Iterator[Event]:
    """Every event that is in the file now."""
    offset = 0
    while True:
        events, following, _ = read_events(path, offset)
        yield from events
        if following == offset:
            return
        offset = following


def number(value: object) -> float:
    """A number as an event holds it: NaN and infinities are strings there. Anything else becomes NaN."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"}:
        return float(value)
    return math.nan


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _line(event: Event) -> bytes:
    return json.dumps(event, ensure_ascii=True, separators=(",", ":"), default=str).encode() + b"\n"


def _fitted(event: Event) -> tuple[Event, bytes]:
    """The event and its line, with texts cut until the line is short enough to be written at once."""
    line = _line(event)
    limit = LINE_LIMIT_BYTES
    while len(line) > LINE_LIMIT_BYTES and limit > 16:
        limit //= 2
        event = _shortened(event, limit)
        line = _line(event)
    return event, line


def _shortened(event: Event, limit: int) -> Event:
    """The event with every text cut to `limit` letters, marked so that nobody takes it for the whole."""

    def cut(value: Any) -> Any:
        if isinstance(value, str) and len(value) > limit:
            return value[:limit] + "..."
        if isinstance(value, dict):
            return {key: cut(item) for key, item in value.items()}
        if isinstance(value, list):
            return [cut(item) for item in value[:limit]]
        return value

    return {**{key: cut(value) for key, value in event.items()}, "cut": True}


def _ends_torn(path: Path) -> bool:
    """Whether the last line has no end: the writer before us was killed in the middle of it."""
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return False
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"


def _last_sequence(path: Path) -> int:
    """The highest sequence number in the last part of the file; 0 for a new one."""
    try:
        size = path.stat().st_size
    except OSError:
        return 0
    events, _, _ = read_events(path, max(0, size - 20 * LINE_LIMIT_BYTES))
    return max((event["seq"] for event in events if isinstance(event.get("seq"), int)), default=0)
