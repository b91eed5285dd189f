"""A run directory that is moved or deleted under its engine: noticed within a second, and nothing is lost.

The engine holds the directory open, so that the kernel can say where it is now, or that it is gone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from engine.places import rescue_root
from engine.runs.store import Run

_DELETED = " (deleted)"


class Whereabouts:
    """Held from the engine's first moment. `kept` are the few bytes without which a run directory is none."""

    def __init__(self, run: Run) -> None:
        self._descriptor = os.open(run.path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0))
        self._kept = run.recipe_path.read_bytes() if run.recipe_path.is_file() else b""
        self._name = run.name

    def close(self) -> None:
        os.close(self._descriptor)

    def now(self, believed: Path) -> Path | None:
        """Where the directory is: `believed` unless it has another path now; None when it is deleted."""
        mine = os.fstat(self._descriptor)
        try:
            there = believed.stat()
        except FileNotFoundError:
            there = None
        except OSError:  # a file server that does not answer now
            return believed
        if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
            return believed
        try:
            path = Path(f"/proc/self/fd/{self._descriptor}").readlink()
        except OSError:  # no /proc: what is not where it was counts as deleted
            return None if there is None else believed
        return None if str(path).endswith(_DELETED) and not path.exists() else path

    def rescue(self) -> Run:
        """A new run directory with the recipe, for what the engine still holds in memory. Raises OSError."""
        run = Run(rescue_root() / f"{self._name[:48]}-{time.strftime('%Y%m%d-%H%M%S')}")
        for place in (run.control_dir, run.checkpoints_dir, run.exports_dir):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.recipe_path.write_bytes(self._kept)
        return run

    def adopt(self, run: Run) -> None:
        """From now on `run` is the directory that is held."""
        before = self._descriptor
        self._descriptor = os.open(run.path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0))
        os.close(before)
