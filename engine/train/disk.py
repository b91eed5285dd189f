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
_TORCH_WORDS = ("inline_container", "unexpected pos", "file write failed", "PytorchStreamWriter failed")
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
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _WORDS:
            return _WORDS[seen.errno]
        text = str(seen)
        for number, words in _WORDS.items():
            if f"os error {number}" in text or os.strerror(number) in text:
                return words
        if any(words in text for words in _TORCH_WORDS):
            return "The disk did not take what was written: it is most likely full."
        seen = seen.__cause__ or seen.__context__
    return ""


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
