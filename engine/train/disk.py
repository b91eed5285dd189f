"""Room on the disk: asked for before the run, before each checkpoint, and told in words when it is gone."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from engine.errors import UserError

_WORDS = {
    errno.ENOSPC: "The disk is full.",
    errno.EDQUOT: "Your quota on this disk is used up.",
    errno.EROFS: "The disk has become read-only.",
    errno.EIO: "The disk reports an input/output error.",
}
_TORCH_WORDS = ("inline_container", "unexpected pos", "file write failed", "PytorchStreamWriter failed",
                "iostream error")  # fmt: skip
"""What torch.save says when a write fails; the words disk and space do not occur in it."""
MARGIN_BYTES = 64 << 20


def free_bytes(directory: Path) -> int:
    """Room that this user may fill on the file system of `directory`."""
    stats = os.statvfs(directory)
    return stats.f_bavail * stats.f_frsize


def require_room(directory: Path, checkpoint_bytes: int, result_bytes: int, kept: int) -> None:
    """Raises UserError when the checkpoints and the result of a run would not fit.

    While one is written it stands beside those that are kept and beside the best one.
    """
    needed = checkpoint_bytes * (kept + 2) + result_bytes + MARGIN_BYTES
    free = free_bytes(directory)
    if free < needed:
        what = f"The disk has {_size(free)} free; checkpoints and result need {_size(needed)}."
        fix = "Make room, keep fewer checkpoints (checkpoints.keep), or choose another folder with --runs."
        raise UserError(what, str(directory), fix)


def has_room(directory: Path, checkpoint_bytes: int) -> bool:
    """Whether one more checkpoint fits."""
    return free_bytes(directory) > checkpoint_bytes + MARGIN_BYTES


def disk_trouble(error: BaseException) -> str:
    """One sentence when `error` (or what caused it) is about the disk, else empty.

    Python raises OSError with a number; torch and safetensors only have words.
    """
    chain = _chain(error)
    for link in chain:
        if isinstance(link, OSError) and link.errno in _WORDS:
            return _WORDS[link.errno]
        for number, words in _WORDS.items():
            if f"os error {number}" in str(link) or os.strerror(number) in str(link):
                return words
    if any(words in str(link) for link in chain for words in _TORCH_WORDS):
        return "The disk did not take what was written: it is most likely full."
    return ""


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what led to it, newest first."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
