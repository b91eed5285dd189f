"""What stands around every verb: output that cannot fail on a letter, and errors that a person can read.

It is on the way of every start, so what only an error needs is imported then.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

FAILED = 1
INTERRUPTED = 130


def guarded(run: Callable[[Namespace], int], arguments: Namespace) -> int:
    """Carry out a verb. Every error becomes a few plain lines on stderr and an exit code, never a traceback."""
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        return _report(_unexpected(error, arguments), arguments.json)


def _report(error: UserError, as_json: bool) -> int:
    import json

    from tui.text import clean

    if as_json:
        print(json.dumps({"error": error.as_dict()}, indent=2))
    print(clean(str(error)), file=sys.stderr)
    return error.exit_code


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
