"""What nobody foresaw: a log with the traceback, and a sentence for the person."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

from engine.errors import UserError


def unexpected(error: BaseException, doing: str) -> UserError:
    """Write the traceback to a log; the sentence names it. Never raises."""
    from tui.places import state_directory

    path = state_directory() / "logs" / f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    what = f"{doing} stopped at something unexpected: {type(error).__name__}."
    if not _write(path, error):
        return UserError(what, "no log could be written", "Try it again.", exit_code=1)
    return UserError(what, str(path), "The log there has the details; please report it with them.", exit_code=1)


def _write(path: Path, error: BaseException) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return False
    return True
