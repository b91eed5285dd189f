"""A terminal that is lost without a signal ends the process."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
import threading

import pytest

from tui import watchdog


def test_a_lost_terminal_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "WATCH_SECONDS", 0.01)
    leader, follower = pty.openpty()
    gone, codes = threading.Event(), []

    class Stdin:
        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return follower

    def leave(code: int) -> None:
        codes.append(code)
        gone.set()

    monkeypatch.setattr(sys, "__stdin__", Stdin())
    watchdog.watch_terminal(leave)
    assert not gone.wait(0.1)
    os.close(leader)
    assert gone.wait(5)
    assert codes == [watchdog.LOST_TERMINAL]
    with contextlib.suppress(OSError):
        os.close(follower)
