"""Who works in a run directory: a POSIX record lock that the kernel takes back when its holder dies.

A pid file lies after a crash, and flock stays held by a forked data loader; a record lock does neither.
One trap: closing *any* descriptor of the lock file drops the lock of that process, so the engine opens it once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from dataclasses import dataclass
from types import TracebackType

from engine.errors import UserError
from engine.runs.store import Run

# struct flock: Linux has type, whence, start, len, pid; macOS has start, len, pid, type, whence.
_MACOS = sys.platform == "darwin"
_LAYOUT = "qqihh" if _MACOS else "hhqqi4x"


@dataclass(frozen=True)
class Owner:
    """The process that holds the lock; `pid` is 0 when it lives in another namespace or on another host."""

    pid: int


def lock_owner(run: Run) -> Owner | None:
    """Who holds the engine lock of `run`, or None. Asks without taking it. Never call it inside the engine."""
    try:
        descriptor = os.open(run.lock_path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        kind, pid = _query(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else Owner(max(pid, 0))


def _query(descriptor: int) -> tuple[int, int]:
    """(lock type, pid of the holder) for a write lock on the whole file."""
    if _MACOS:
        packed = struct.pack(_LAYOUT, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        _, _, pid, kind, _ = struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, fcntl.F_GETLK, packed))
    else:
        packed = struct.pack(_LAYOUT, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, fcntl.F_GETLK, packed))
    return kind, pid


class EngineLock:
    """Held by the engine from its first moment to its last: `with EngineLock(run): ...`."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._descriptor = -1

    def __enter__(self) -> EngineLock:
        """Take the lock. Raises UserError that names the process which holds it."""
        self._descriptor = os.open(self.run.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EAGAIN}:
                os.close(self._descriptor)
                raise
            _, pid = _query(self._descriptor)
            os.close(self._descriptor)
            fix = f"Look at it: tunewright attach {self.run.name}. Stop it: tunewright stop {self.run.name}."
            raise UserError(f"Another engine works on this run (process {pid}).", str(self.run.path), fix) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        os.close(self._descriptor)
