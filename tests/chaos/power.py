"""A power cut at every moment of a save, replayed from its recorded file operations.

What a disk holds after a cut: everything that was fsynced, and of the rest whatever it likes. Two disks are played.
"ordered" keeps changes of names in the order in which they were made (a journal), "careless" keeps any of them that
were not synced yet. On both, a file that was not synced since it was last written is empty.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.saves import Bench

CARELESS_TRIES = 6
Operation = tuple[str, str, str]


@dataclass
class Disk:
    """Names as they stand and content as it is safe, for one folder tree."""

    files: dict[str, bool] = field(default_factory=dict)
    """Path -> whether its content is safe."""
    folders: set[str] = field(default_factory=set)

    def apply(self, operation: Operation) -> None:
        what, path, second = operation
        if what in {"open", "write"}:
            if what == "write" or path not in self.files:
                self.files[path] = False
        elif what == "mkdir":
            self.folders.add(path)
        elif what == "rename":
            self._rename(path, second)
        elif what == "unlink":
            self.files.pop(path, None)
        elif what == "rmdir":
            self.folders.discard(path)

    def _rename(self, old: str, new: str) -> None:
        def moved(path: str) -> str:
            return new + path[len(old) :] if path == old or path.startswith(old + "/") else path

        self.files = {moved(path): safe for path, safe in self.files.items()}
        self.folders = {moved(path) for path in self.folders}


def replay(bench: Bench, operations: list[Operation], stride: int, synced: bool = True) -> dict[str, Any]:
    """Cut the power before each operation; count what a resuming engine finds.

    Once the new name was made safe, the new checkpoint must be there and not only the one before. With `synced` false
    every fsync is left out: the replay has to notice, or it proves nothing.
    """
    from tests.chaos.saves import STEP, states

    recorded = bench.base.path.with_name("recorded")
    content = _contents(bench, recorded)
    outcomes: Counter[str] = Counter()
    chance = random.Random(1)
    promised = _when_promised(operations)
    if not synced:
        operations = [("nothing", "", "") if what == "fsync" else (what, *rest) for what, *rest in operations]
    target = bench.base.path.with_name("after-the-cut")
    for at in sorted({*range(0, len(operations), stride), promised + 1, len(operations)}):
        for survivors in _possible_disks(operations[:at], chance):
            _materialize(bench, recorded, survivors, operations[:at], content, target)
            found = states(target / "checkpoints")
            expected = (STEP,) if at > promised else (4, STEP)
            outcomes["ok" if found["best"] in expected else f"found {found['best']} instead of {expected[0]}"] += 1
    return dict(outcomes)


def with_hidden_renames(operations: list[Operation]) -> list[Operation]:
    """safetensors writes `.tmpXXXX` and renames it by a system call of its own, which the shim does not see."""
    seen: set[str] = set()
    whole: list[Operation] = []
    for operation in operations:
        what, path, _ = operation
        here = str(Path(path).parent) + "/.tmp"
        if what == "fsync" and path.endswith(".safetensors") and path not in seen:
            whole.append(("rename", next(name for name in seen if name.startswith(here)), path))
        seen.add(path)
        whole.append(operation)
    return whole


def _when_promised(operations: list[Operation]) -> int:
    """The operation that makes the new checkpoint's name safe: the sync of the folder after the rename."""
    renamed = next(i for i, (what, _, new) in enumerate(operations) if what == "rename" and "/step-" in new)
    return next(i for i, (what, _, _) in enumerate(operations) if i > renamed and what == "fsync")


def _possible_disks(done: list[Operation], chance: random.Random) -> list[list[Operation]]:
    """Which of the operations may be on the disk. A sync of a folder makes all changes in it safe; on a journal it
    makes everything before it safe."""
    names = [index for index, (what, _, _) in enumerate(done) if what in {"open", "mkdir", "rename", "unlink", "rmdir"}]
    syncs = [index for index, (what, _, _) in enumerate(done) if what == "fsync"]
    last_sync = syncs[-1] if syncs else -1
    journal = [[done[i] for i in range(len(done)) if i not in names or i <= last_sync or i <= cut]
               for cut in sorted({-1, *(i for i in names if i > last_sync)})]  # fmt: skip
    careless = []
    for _ in range(CARELESS_TRIES):
        lost = {i for i in names if not _is_synced(done, i) and chance.random() < 0.5}
        careless.append([operation for i, operation in enumerate(done) if i not in lost])
    return journal + careless


def _is_synced(done: list[Operation], index: int) -> bool:
    """Whether the folder of a changed name was synced after the change (or, for a file, the file itself)."""
    what, path, second = done[index]
    named = second if what == "rename" else path
    safe = {str(Path(named).parent)} | ({named} if what == "open" else set())
    return any(w == "fsync" and p in safe for w, p, _ in done[index + 1 :])


def _contents(bench: Bench, recorded: Path) -> dict[str, bytes]:
    """Final content of every file name that a save writes, and of those that were there before."""
    step = recorded / "checkpoints" / "step-00000006"
    return {path.name: path.read_bytes() for path in step.iterdir()}


def _materialize(bench: Bench, recorded: Path, survivors: list[Operation], done: list[Operation],
                 content: dict[str, bytes], target: Path) -> None:  # fmt: skip
    """Write the tree that such a disk holds into `target`."""
    root = str(recorded / "checkpoints")
    base = bench.base.checkpoints_dir
    disk = Disk()
    origin: dict[str, Path] = {}
    for folder, _, names in os.walk(base):
        here = root + str(folder)[len(str(base)) :]
        disk.folders.add(here)
        for name in names:
            disk.files[f"{here}/{name}"] = True
            origin[name + "@" + Path(here).name] = Path(folder) / name
    for operation in survivors:
        disk.apply(operation)
    synced = _synced_files(done)
    shutil.rmtree(target, ignore_errors=True)
    (target / "checkpoints").mkdir(parents=True)
    for path, safe in disk.files.items():
        place = Path(str(target / "checkpoints") + path[len(root) :])
        place.parent.mkdir(parents=True, exist_ok=True)
        old = origin.get(f"{place.name}@{place.parent.name}")
        if old is not None and safe:
            os.link(old, place)
        else:
            whole = place.name in synced
            place.write_bytes(content.get(place.name, b"") if whole else b"")


def _synced_files(done: list[Operation]) -> set[str]:
    """File names whose content was synced after it was last written."""
    safe: set[str] = set()
    for what, path, _ in done:
        name = Path(path).name
        if what == "fsync":
            safe.add(name)
        elif what in {"write", "open"}:
            safe.discard(name)
    return safe
