"""What stands around every verb: output that cannot fail on a letter, and errors that a person can read.

It is on the way of every start, so what only an error needs is imported then.
"""

from __future__ import annotations

import errno
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TextIO

from engine.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

FAILED = 1
INTERRUPTED = 130
LOST_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What writing to a standard stream may fail with, beside a pipe that nobody reads."""


def guarded(run: Callable[[Namespace], int], arguments: Namespace) -> int:
    """Carry out a verb. Every error becomes a few plain lines on stderr and an exit code, never a traceback."""
    _open_what_is_closed()
    _never_fail_on_letters()
    try:
        code = run(arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _report(error, arguments.json)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of a pipe has left, as `head` does; Python would complain once more when it flushes at exit
        _give_up_output()
        return FAILED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in LOST_OUTPUT and error.filename is None and not _can_write():
            _give_up_output()
            fix = "Make room, or write the output to another place."
            return _report(UserError(f"The output cannot be written: {error.strerror}.", "stdout", fix, FAILED), False)
        return _report(_unexpected(error, arguments), arguments.json)


def _report(error: UserError, as_json: bool) -> int:
    import json

    from tui.text import clean

    try:
        if as_json:
            print(json.dumps({"error": error.as_dict()}, indent=2), flush=True)
    except OSError:  # the reader has left, or the disk behind it is full: the words on stderr and the code remain
        _give_up_output()
    print(clean(str(error)), file=sys.stderr)
    return error.exit_code


def _can_write() -> bool:
    """Whether the output takes one more line: what an earlier write lost is not tried again by a flush."""
    try:
        print(flush=True)
    except OSError:
        return False
    return True


def _give_up_output() -> None:
    """Send what is still buffered nowhere, so that Python does not try once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_what_is_closed() -> None:
    """A stream that was closed, as by `>&-`, takes what is printed and forgets it; Python leaves None there."""
    if sys.stdin is None:
        sys.stdin = _nowhere("r")
    if sys.stdout is None:
        sys.stdout = _nowhere("w")
    if sys.stderr is None:
        sys.stderr = _nowhere("w")


def _nowhere(mode: Literal["r", "w"]) -> TextIO:
    """It stays open until the program ends."""
    return open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 - a standard stream; no pathlib at a start


def _unexpected(error: Exception, arguments: Namespace) -> UserError:
    """A sentence for what nobody foresaw; the traceback goes to a file."""
    what = f"{arguments.verb.name or 'tunewright'} stopped at something it did not expect: {type(error).__name__}."
    try:
        path = _write_log(arguments.verb.name)
    except OSError as failure:
        return UserError(what, f"no log could be written: {failure.strerror}", "Run it again.", exit_code=FAILED)
    return UserError(what, str(path), "The log there has the details; please report it with them.", exit_code=FAILED)


def _write_log(verb: str) -> Path:
    import platform
    import time
    import traceback

    from tui.places import state_directory

    folder = state_directory() / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    head = f"verb: {verb}\npython: {sys.version}\nsystem: {platform.platform()}\n\n"
    path.write_text(head + traceback.format_exc(), encoding="utf-8")
    return path


def _never_fail_on_letters() -> None:
    """A letter that the terminal's encoding lacks becomes an escape instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
