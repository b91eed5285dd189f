"""What every job is: a child process with a log of its own, whose messages are JSON lines, and the end of its group."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserError
from tui.places import state_directory

LOGS_KEPT = 20
BAD_INPUT = 2
"""The exit code of an error that the person can mend; such a job has nothing to tell in its log."""
READ_BYTES = 65_536

Message = dict[str, Any]
Progress = Callable[[Any], None]


def job_command(name: str) -> list[str]:
    """The command of a job. `-P` keeps a folder called `engine` in the working directory from being imported."""
    return [sys.executable, "-P", "-m", "engine", "job", name]


def job_environment() -> dict[str, str]:
    """The environment of a job: that of a run's engine, which imports the same `engine` and sends no telemetry."""
    from engine.runs.process import engine_environment

    return engine_environment()


class Child:
    """What the two kinds of job share: the log of stderr, the framing of messages and the end of the group."""

    GRACE_SECONDS = 2.0
    """How long a job may take to end by itself once its stdin is closed."""

    def __init__(self, name: str, request: Mapping[str, Any]) -> None:
        self.name = name
        self.command, self.environment = job_command(name), job_environment()
        self.request = dict(request)
        self.log_path = _new_log(name)
        self._buffer = b""
        self._arrived: deque[Message] = deque()
        self._failed = False

    def _feed(self, chunk: bytes) -> None:
        """Take the whole messages from what has come so far; the rest waits for its newline."""
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        self._arrived.extend(message for line in lines if (message := _parse(line)) is not None)

    def _checked(self, message: Message) -> Message:
        """Raise the UserError that the job reported; hand everything else on."""
        if "error" in message:
            error = UserError.from_dict(message["error"])
            if error.exit_code != BAD_INPUT:
                self._failed = True
                error.where = error.where or str(self.log_path)
            raise error
        return message

    def died(self, code: int | None = 0) -> UserError:
        """The UserError for a child that ended with `code` and gave no answer; its log is kept and named."""
        self._failed = True
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f" Its last words were: {lines[-1]}" if lines else ""
        if code == -signal.SIGKILL:
            fix = "The system most likely ran out of memory. Close other programs or choose a smaller model."
        else:
            fix = "The log has the details."
        return UserError(f"The job {self.name!r} ended without an answer.{last}", str(self.log_path), fix, exit_code=1)

    def _clean_up(self, pid: int | None) -> None:
        """Kill what is left of the group; keep the log only of a job that failed."""
        if pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        if not self._failed:
            self.log_path.unlink(missing_ok=True)


def framed(request: Mapping[str, Any]) -> bytes:
    """A request as the line that the child reads."""
    return json.dumps(dict(request)).encode() + b"\n"


def _parse(line: bytes) -> Message | None:
    """One message; None for an empty line or for noise, which a library may print."""
    try:
        message = json.loads(line)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None
    return message if isinstance(message, dict) else None


def _new_log(name: str) -> Path:
    """A fresh, private file for a job's stderr; only the newest few are kept."""
    folder = state_directory() / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in sorted(folder.glob("job-*.log"))[:-LOGS_KEPT]:
        old.unlink(missing_ok=True)
    handle, path = tempfile.mkstemp(prefix=f"job-{time.strftime('%Y%m%d-%H%M%S')}-{name}-", suffix=".log", dir=folder)
    os.close(handle)
    return Path(path)
