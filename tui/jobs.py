"""Jobs: heavy work that the terminal asks for and waits for, in a child process that never outlives it.

A job reads one JSON request a line on its stdin and answers JSON lines on its stdout. Its stderr goes to a file and
never to a pipe: a pipe that nobody drains stops the child. The child ends by itself when its stdin closes, so that it
dies with a terminal side that was killed, and `close` ends the child's whole process group.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, Any, Self

from tui.job_child import READ_BYTES, Child, Message, Progress, framed


class Job(Child):
    """A job as a context manager, for commands without a screen."""

    def __enter__(self) -> Self:
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=self.environment, start_new_session=True, bufsize=0,
            )  # fmt: skip
        self.send(self.request)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask for something more. Raises UserError when the job is gone."""
        try:
            _pipe(self._process.stdin).write(framed(request))
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
                self._process.wait(self.GRACE_SECONDS)
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


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
