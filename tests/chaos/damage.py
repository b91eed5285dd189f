"""Every file of a real checkpoint, damaged in every way: is another model ever trained in silence?"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from engine.train import checkpoint

WAYS = ("missing", "empty", "half", "bit flip", "zeros", "swapped")


def damage(path: Path, how: str, twin: Path) -> bool:
    """Damage a file; `twin` is the same file of another step. False when that would change nothing."""
    content = path.read_bytes()
    changed = {
        "empty": b"", "half": content[: len(content) // 2], "zeros": bytes(len(content)), "swapped": twin.read_bytes(),
        "bit flip": _flipped(content),
    }.get(how)  # fmt: skip
    if changed is None:
        path.unlink()
        return True
    path.write_bytes(changed)
    return changed != content


def _flipped(content: bytes) -> bytes:
    middle = len(content) * 2 // 3
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


def matrix(checkpoints: Path, older: int, newer: int, scratch: Path) -> Counter[str]:
    """Damage each file of the `newer` step in each way; count what a resuming engine does."""
    outcomes: Counter[str] = Counter()
    names = [path.name for path in checkpoint.step_directory(checkpoints, newer).iterdir()]
    for name in names:
        for how in WAYS:
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(checkpoints, scratch)
            place = checkpoint.step_directory(scratch, newer) / name
            if not damage(place, how, checkpoint.step_directory(scratch, older) / name):
                outcomes["same bytes"] += 1
                continue
            search = checkpoint.find_verified(scratch)
            fell_back = search.best is not None and search.best.step == older
            named = bool(search.damaged) and name in search.damaged[0][1]
            outcomes["falls back and names it" if fell_back and named else f"{name} {how}: {search}"] += 1
    return outcomes
