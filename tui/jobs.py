"""Jobs: heavy work that the terminal asks for and waits for, in a child process that never outlives it.

A job reads one JSON request a line on its stdin and answers JSON lines on its stdout. Its stderr goes to a file and
never to a pipe: a pipe that nobody drains stops the child. The child ends by itself when its stdin closes, so that it
dies with a terminal side that was killed, and `close` ends the child's whole process group.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from engine.errors import UserError
from tui.places import state_directory

GRACE_SECONDS = 2.0
"""How long a job may take to end by itself once its stdin is closed."""
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


class _Child:
    """What the two kinds of job share: the log of stderr, the framing of messages and the end of the group."""

    def __init__(self, name: str, request: Mapping[str, Any]) -> None:
        self.name = name
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


class Job(_Child):
    """A job as a context manager, for commands without a screen."""

    def __enter__(self) -> Self:
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                job_command(self.name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=job_environment(), start_new_session=True, bufsize=0,
            )  # fmt: skip
        self.send(self.request)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask for something more. Raises UserError when the job is gone."""
        try:
            _pipe(self._process.stdin).write(_line(request))
        except BrokenPipeError:
            raise self.died(self._process.wait()) from None

    def messages(self) -> Iterator[Message]:
        """What the job says, until it ends. Raises UserError for what it reports as an error; may be called again."""
        stdout = _pipe(self._process.stdout)
        while True:
            while self._arrived:
                yield self._checked(self._arrived.popleft())
            if not (chunk := stdout.read(READ_BYTES)):
                break
            self._feed(chunk)
        if (code := self._process.wait()) != 0:
            raise self.died(code)

    def close(self) -> None:
        """End the job and everything it started. Safe to call twice."""
        try:
            with contextlib.suppress(OSError):
                _pipe(self._process.stdin).close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
        finally:
            self._clean_up(self._process.pid)
        self._process.wait()
        _pipe(self._process.stdout).close()


def run_job(name: str, request: Mapping[str, Any], on_progress: Progress | None = None) -> Message:
    """Run a job to its end and return its result.

    Raises UserError for what the job reports and for a job that ends without an answer (its log is named).
    """
    with Job(name, request) as job:
        for message in job.messages():
            if "result" in message:
                return dict(message["result"])
            if on_progress is not None and "progress" in message:
                on_progress(message["progress"])
        raise job.died()


class AsyncJob(_Child):
    """The same job for an application with an event loop.

        async with AsyncJob("chat", {"run": folder}) as job:
            await job.send({"prompt": "Hello"})
            async for message in job.messages(): ...
    """

    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the child and send it the request. Raises UserError when it cannot be reached."""
        with self.log_path.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *job_command(self.name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=job_environment(), start_new_session=True,
            )  # fmt: skip
        await self.send(self.request)

    async def send(self, request: Mapping[str, Any]) -> None:
        """Ask for something more. Raises UserError when the job is gone."""
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(_line(request))
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise self.died(await process.wait()) from None

    async def messages(self) -> AsyncIterator[Message]:
        """What the job says, until it ends. Raises UserError for what it reports as an error; may be called again."""
        process = self._running()
        assert process.stdout is not None
        while True:
            while self._arrived:
                yield self._checked(self._arrived.popleft())
            if not (chunk := await process.stdout.read(READ_BYTES)):
                break
            self._feed(chunk)
        if (code := await process.wait()) != 0:
            raise self.died(code)

    async def result(self, on_progress: Progress | None = None) -> Message:
        """Wait for the result of a job that answers once. Raises UserError as `run_job` does."""
        async for message in self.messages():
            if "result" in message:
                return dict(message["result"])
            if on_progress is not None and "progress" in message:
                on_progress(message["progress"])
        raise self.died()

    async def close(self) -> None:
        """End the job and everything it started. Safe to call twice, and before `start`."""
        if self._process is None:
            self._clean_up(None)
            return
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
        finally:
            self._clean_up(self._process.pid)
        await self._process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "start the job first"
        return self._process

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        await self.close()


def _line(request: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(request)).encode() + b"\n"


def _parse(line: bytes) -> Message | None:
    """One message; None for an empty line or for noise, which a library may print."""
    try:
        message = json.loads(line)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None
    return message if isinstance(message, dict) else None


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _new_log(name: str) -> Path:
    """A fresh, private file for a job's stderr; only the newest few are kept."""
    folder = state_directory() / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in sorted(folder.glob("job-*.log"))[:-LOGS_KEPT]:
        old.unlink(missing_ok=True)
    handle, path = tempfile.mkstemp(prefix=f"job-{time.strftime('%Y%m%d-%H%M%S')}-{name}-", suffix=".log", dir=folder)
    os.close(handle)
    return Path(path)
