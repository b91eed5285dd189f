"""Jobs for an application with an event loop, apart from `tui.jobs` since commands do without asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

from tui.job_child import READ_BYTES, Child, Message, Progress, framed


class AsyncJob(Child):
    """A job as an asynchronous context manager: `send` asks for more, `messages` is what it says."""

    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the child and send it the request. Raises UserError when it cannot be reached."""
        with self.log_path.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=self.environment, start_new_session=True,
            )  # fmt: skip
        await self.send(self.request)

    async def send(self, request: Mapping[str, Any]) -> None:
        """Ask for something more. Raises UserError when the job is gone."""
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(framed(request))
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
                await asyncio.wait_for(self._process.wait(), self.GRACE_SECONDS)
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
