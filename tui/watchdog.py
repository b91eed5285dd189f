"""Ends a process whose terminal is gone without a signal: a dead SSH line, a hangup that was ignored.

Textual's two input threads would spin on such a terminal for ever, and its writer would block the event loop.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

WATCH_SECONDS = 1.0
LOST_TERMINAL = 129
"""Exit code of a process whose terminal is gone: 128 + SIGHUP."""


def watch_terminal(leave: Callable[[int], None] = os._exit) -> None:
    """Look at the terminal once a second, from a daemon thread; does nothing without one.

    A thread and `_exit`, since the event loop may already wait for a terminal that no longer reads.
    """
    if sys.__stdin__ is None or not sys.__stdin__.isatty():
        return
    import termios

    descriptor = sys.__stdin__.fileno()

    def watch() -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            try:
                termios.tcgetattr(descriptor)
            except termios.error:
                leave(LOST_TERMINAL)
                return

    threading.Thread(target=watch, daemon=True, name="terminal-watchdog").start()
