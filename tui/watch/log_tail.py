"""Follows a log file that anything may be written to: long lines, progress bars, bytes of no encoding."""

from __future__ import annotations

from pathlib import Path

from tui.text import one_line

FIRST_BYTES = 512_000
"""How much of the end of a log is shown; the path is said, for whoever wants the rest."""

READ_BYTES = 256_000
LINE_LETTERS = 2_000


class LogTail:
    """New lines of a file since the last call, cleaned for display."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped_bytes = 0
        self._offset = -1
        self._rest = b""

    def read(self) -> list[str]:
        """Whole lines that were added, at most 256 kB a call; none for an absent file. A shorter one starts anew."""
        try:
            with self.path.open("rb") as stream:
                size = stream.seek(0, 2)
                if self._offset < 0 or size < self._offset:
                    self._offset = self.skipped_bytes = max(0, size - FIRST_BYTES)
                    self._rest = b""
                stream.seek(self._offset)
                data = stream.read(READ_BYTES)
        except OSError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-READ_BYTES:]
        return [_shown(line) for line in lines]


def _shown(line: bytes) -> str:
    """A line as the terminal would have left it: a progress bar overwrites itself after each carriage return."""
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", errors="replace")
    return one_line(text, LINE_LETTERS)
