"""One note per GPU, so that a second run of the same person on it is noticed before memory runs out."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import tempfile
from pathlib import Path


def claim_gpu(uuid: str) -> str | None:
    """Note that this process uses the GPU, for as long as it lives. The name of the run that was there before, or None.

    It only warns: two small runs may share a GPU. Never raises.
    """
    try:
        folder = _folder()
        path = folder / f"gpu-{re.sub(r'[^A-Za-z0-9-]', '', uuid)}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        said = os.read(descriptor, 200).decode(errors="replace") if error.errno in {errno.EACCES, errno.EAGAIN} else ""
        os.close(descriptor)
        return said or None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()}".encode())
    return None  # the descriptor stays open: closing it would give the claim back


def _folder() -> Path:
    """A folder that only this person can write to. Raises OSError when somebody else owns it."""
    place = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(place) / "tunewright" if place else Path(tempfile.gettempdir()) / f"tunewright-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise OSError(errno.EPERM, "not ours", str(folder))
    return folder
