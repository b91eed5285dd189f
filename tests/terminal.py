"""A real terminal for tests: run a command in a pty, send keys, wait for text, read cells, draw a picture.

For example:

    with Terminal(["python", "-m", "tui"], columns=80, rows=24) as terminal:
        terminal.wait_for("Machine")
        terminal.send("enter", "down")
        terminal.picture(Path("page.png"))
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pyte

from tests.terminal_picture import draw

KEYS: dict[str, bytes] = {
    "enter": b"\r",
    "escape": b"\x1b",
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "space": b" ",
    "backspace": b"\x7f",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "delete": b"\x1b[3~",
    "f1": b"\x1bOP",
    "f2": b"\x1bOQ",
    "f3": b"\x1bOR",
    "f4": b"\x1bOS",
    "f5": b"\x1b[15~",
    **{f"ctrl+{letter}": bytes([ord(letter) - 96]) for letter in "abcdefghijklmnopqrstuvwxyz"},
}
# pyte does not know the keyboard protocol of kitty (CSI > 1 u) nor mode questions (CSI ? 2026 $ p)
_UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_UNFINISHED = re.compile(rb"\x1b(?:\[[<>=?]?[0-9;]*\$?|\][^\x07\x1b]*\x1b?)?\Z")
_ANSWERS = {b"\x1b[?2026$p": b"\x1b[?2026;2$y", b"\x1b[c": b"\x1b[?62;22c", b"\x1b[6n": b"\x1b[1;1R"}


class Terminal:
    """A command running in a pty of the given size. `output` keeps every byte with the time it was read."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        synchronized: bool = True,
    ) -> None:
        """`environment` is laid over this process's; `synchronized` answers the question for mode 2026 with yes."""
        self.columns, self.rows = columns, rows
        self.synchronized = synchronized
        self.output: list[tuple[float, bytes]] = []
        self.ended = False
        self.exit_status: int | None = None
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._unfed = b""
        self.pid, self.descriptor = _start(command, columns, rows, _environment(environment), directory)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, seconds: float = 0.0) -> int:
        """Read what comes within `seconds`, at most 64 kB; the number of bytes read."""
        if self.ended:
            return 0
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return 0
        try:
            data = os.read(self.descriptor, 1 << 16)
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return 0
        self.output.append((time.perf_counter(), data))
        self._answer(data)
        self._unfed += data
        return len(data)

    def _answer(self, data: bytes) -> None:
        for question, answer in _ANSWERS.items():
            if question in data and (self.synchronized or b"2026" not in question):
                os.write(self.descriptor, answer)

    def waiting(self) -> bool:
        """Whether the program has written what was not read yet."""
        return not self.ended and bool(select.select([self.descriptor], [], [], 0)[0])

    def read_for(self, seconds: float) -> None:
        """Read for that long, or until the program ends."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and not self.ended:
            self.read(left)

    def settle(self, quiet: float = 0.3, at_most: float = 10.0) -> None:
        """Read until nothing came for `quiet` seconds."""
        end = time.perf_counter() + at_most
        while time.perf_counter() < end and self.read(quiet):
            pass

    def wait_for(self, text: str, seconds: float = 20.0) -> str:
        """Read until `text` stands on the screen; the screen's text. AssertionError shows the screen otherwise."""
        return self.wait_until(lambda shown: text in shown, f"{text!r} on the screen", seconds)

    def wait_until(self, met: Callable[[str], bool], what: str, seconds: float = 20.0) -> str:
        """Read until `met(screen text)`; AssertionError names `what` and shows the screen."""
        end = time.perf_counter() + seconds
        while True:
            shown = self.text()
            if met(shown):
                return shown
            if self.ended or time.perf_counter() > end:
                raise AssertionError(f"no {what} after {seconds} s (ended: {self.ended}); the screen:\n{shown}")
            self.read(0.05)

    def send(self, *keys: str) -> None:
        """Press keys by name (`enter`, `ctrl+c`); anything that is no name is typed as text."""
        for key in keys:
            os.write(self.descriptor, KEYS.get(key, key.encode()))

    def resize(self, columns: int, rows: int) -> None:
        """Change the window; the program gets SIGWINCH."""
        self.columns, self.rows = columns, rows
        self.text()
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def text(self) -> str:
        """What the screen shows, a line per row, blanks at the ends cut."""
        self._feed()
        return "\n".join(line.rstrip() for line in self.screen.display)

    def raw(self) -> bytes:
        """Every byte that the program wrote."""
        return b"".join(data for _, data in self.output)

    def picture(self, path: Path, scale: int = 1) -> None:
        """Draw the screen's cells into a PNG file."""
        self._feed()
        draw(self.screen, path, scale)

    def _feed(self) -> None:
        data, self._unfed = self._unfed, b""
        if unfinished := _UNFINISHED.search(data):  # a sequence split between two reads waits for its rest
            data, self._unfed = data[: unfinished.start()], data[unfinished.start() :]
        self._stream.feed(_UNKNOWN_TO_PYTE.sub(b"", data))

    def cpu_seconds(self) -> float:
        """CPU time of all living threads of the program so far (Linux schedstat, nanoseconds)."""
        total = 0
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{self.pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the program."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal under the program, as a dropped line does."""
        if not self.ended:
            self.ended = True
            os.close(self.descriptor)
            self.descriptor = -1

    def wait(self, seconds: float = 10.0) -> int | None:
        """Wait for the program's end: its exit code (negative: the signal), None when it still runs."""
        end = time.perf_counter() + seconds
        while self.exit_status is None and time.perf_counter() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.exit_status = os.waitstatus_to_exitcode(status)
            elif not self.ended:
                self.read(0.02)
            else:
                time.sleep(0.02)
        return self.exit_status

    def close(self) -> None:
        """End the program if it still runs, and give the pty back."""
        if self.exit_status is None:
            self.signal(signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        if self.descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self.descriptor)
            self.descriptor = -1


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "SSH_CONNECTION", "SSH_TTY", "MOSH_CONNECTION"):
        environment.pop(name, None)
    environment.update(extra or {})
    return environment


def _start(
    command: Sequence[str], columns: int, rows: int, environment: Mapping[str, str], directory: Path | None
) -> tuple[int, int]:
    pid, descriptor = pty.fork()
    size = struct.pack("HHHH", rows, columns, 0, 0)
    if pid == 0:  # the child: must never come back into the test's code
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            if directory is not None:
                os.chdir(directory)
            os.execvpe(command[0], list(command), environment)
        finally:
            os._exit(127)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, size)
    return pid, descriptor
