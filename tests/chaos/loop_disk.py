"""Real power cuts: an ext4 image is copied while the engine stands still, and the copy is mounted.

The kernel replays the journal of the copy as it would after a cut. Needs root and loop devices.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.runs.store import Run
from engine.train import checkpoint
from tests.chaos.rig import Workshop, carry_in_child
from tests.engine.train import material
from tests.engine.train.carried import Carried

IMAGE_BYTES = 200 << 20


def _command(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def mounted(image: Path, place: Path) -> Iterator[bool]:
    """Mount an image; yields whether the system let us."""
    place.mkdir(exist_ok=True)
    fine = _command("mount", "-o", "loop", str(image), str(place))
    try:
        yield fine
    finally:
        if fine:
            _command("umount", str(place))


def available() -> bool:
    """Whether this process may make and mount images."""
    return os.geteuid() == 0 and shutil.which("mkfs.ext4") is not None and Path("/dev/loop-control").exists()


def cut_power(workshop: Workshop, method: str, cuts: int, seed: int = 1) -> Counter[str]:
    """Cut the power `cuts` times at random moments of one slow run; count what is left on the disk."""
    folder = workshop.root / f"loop-{method}"
    folder.mkdir()
    image = folder / "disk.img"
    with image.open("wb") as stream:
        stream.truncate(IMAGE_BYTES)
    assert _command("mkfs.ext4", "-q", "-F", str(image))
    with mounted(image, folder / "disk") as fine:
        if not fine:
            return Counter({"mounting is refused here": 1})
        return _cut_while_it_runs(workshop, method, folder, image, cuts, random.Random(seed))


def _cut_while_it_runs(workshop: Workshop, method: str, folder: Path, image: Path, cuts: int,
                       chance: random.Random) -> Counter[str]:  # fmt: skip
    run = material.make_run(
        folder / "disk" / "runs", "cut", workshop.model, workshop.rows, method__name=method, training__max_steps=2000,
        training__epochs=1000.0, evaluation__held_out_rows=0, checkpoints__every_steps=2, checkpoints__keep=2,
    )  # fmt: skip
    child = carry_in_child(run, before=_slowly)
    outcomes: Counter[str] = Counter()
    try:
        while not checkpoint.steps_on_disk(run.checkpoints_dir):
            time.sleep(0.05)
        for _ in range(cuts):
            time.sleep(chance.random() * 4)
            outcomes[_cut(run, child.pid, image, folder)] += 1
    finally:
        child.kill()
    return outcomes


def _slowly(say: Callable[[], None]) -> None:
    """Patch: a step takes a third of a second, so that saves are a part of the time and not all of it."""
    from engine.train.reporter import Reporter

    before = Reporter.step

    def step(self: Any, seconds: float, **fields: Any) -> None:
        time.sleep(0.3)
        before(self, seconds, **fields)

    Reporter.step = step  # type: ignore[method-assign]


def _cut(run: Run, pid: int, image: Path, folder: Path) -> str:
    """One cut: `ok` when the last checkpoint that was announced, or a later one, verifies on the copy."""
    os.kill(pid, signal.SIGSTOP)
    announced = [event["step"] for event in Carried(run).of("checkpoint")]
    copy = folder / "copy.img"
    _command("cp", "--sparse=always", str(image), str(copy))
    os.kill(pid, signal.SIGCONT)
    with mounted(copy, folder / "after") as fine:
        if not fine:
            return "the copy cannot be mounted"
        search = checkpoint.find_verified(folder / "after" / "runs" / "cut" / "checkpoints", set_aside=False)
        best = search.best.step if search.best else 0
    return "ok" if best >= announced[-1] else f"found {best}, announced {announced[-1]}"
