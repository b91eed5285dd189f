"""Slow functions in threads that nobody has to wait for.

The usual executor is joined when the event loop ends, so a name that does not resolve would keep the program open for
a minute after Ctrl+Q. A daemon thread just ends with the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from textual.screen import Screen
from textual.worker import Worker

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a daemon thread and wait for its result or exception without blocking the event loop."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # T itself may be None

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except BaseException as error:
            problem = error
        with suppress(RuntimeError):  # the loop is closed: the program has ended meanwhile
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, daemon=True, name=f"look-up-{getattr(work, '__name__', 'work')}").start()
    return await done


def start(screen: Screen[Any], work: Callable[[], Coroutine[None, None, None]], group: str) -> None:
    """Run `work` on the event loop beside the screen; a newer one of the same group takes the older one's place."""
    started: Worker[None] = screen.run_worker(work, group=group, exclusive=True)
    assert started.group == group  # mypy finds the type only of a result that is used
