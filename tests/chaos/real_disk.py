"""Disks that fail for real: a full one, one that the kernel makes read-only, one that returns input/output errors.

Needs root. Full is a tmpfs with a size. The two others are ext4 images: read-only after the kernel was told to find an
error (/sys/fs/ext4/DEVICE/trigger_fs_error, mounted with errors=remount-ro), and shut down by EXT4_IOC_SHUTDOWN, after
which the kernel answers everything with EIO, as for a disk that was pulled out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.runs.store import Run
from tests.chaos.rig import Child, Workshop, carry_in_child
from tests.engine.train import material

EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
"""_IOR('X', 125, __u32) and EXT4_GOING_FLAGS_NOLOGFLUSH, from the kernel's include/uapi/linux/ext4.h."""
IMAGE_BYTES = 64 << 20
ROOM_BYTES = 16 << 20


def _command(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Disk:
    """A mounted file system of our own. `device` is its block device, or empty."""

    place: Path
    image: Path | None = None

    def fill(self) -> None:
        """Use up all room."""
        with contextlib.suppress(OSError), (self.place / "filler").open("wb", buffering=0) as stream:
            while stream.write(bytes(1 << 16)):
                pass

    def make_room(self) -> None:
        (self.place / "filler").unlink()

    def become_read_only(self) -> None:
        """Let the kernel find an error in the file system, as a dying disk does."""
        lines = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
        device = next(Path(words[0]).name for words in lines if words[1] == str(self.place))
        (Path("/sys/fs/ext4") / device / "trigger_fs_error").write_text("a test")

    def return_errors(self) -> None:
        """From now on every access is an input/output error."""
        descriptor = os.open(self.place, os.O_RDONLY)
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(descriptor)

    def mount_again(self) -> None:
        """What a restart of the machine does."""
        assert _command("umount", str(self.place))
        assert _command("mount", "-o", "loop", str(self.image), str(self.place))


@contextlib.contextmanager
def memory_disk(folder: Path, size: int = ROOM_BYTES) -> Iterator[Disk | None]:
    """A tmpfs of `size` bytes; None when the system refuses it."""
    folder.mkdir()
    fine = os.geteuid() == 0 and _command("mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder))
    try:
        yield Disk(folder) if fine else None
    finally:
        if fine:
            _command("umount", "-l", str(folder))


@contextlib.contextmanager
def image_disk(folder: Path) -> Iterator[Disk | None]:
    """An ext4 image; None when the system refuses to make or mount it."""
    image = folder.with_suffix(".img")
    with image.open("wb") as stream:
        stream.truncate(IMAGE_BYTES)
    folder.mkdir()
    fine = os.geteuid() == 0 and _command("mkfs.ext4", "-q", "-F", str(image))
    fine = fine and _command("mount", "-o", "loop,errors=remount-ro", str(image), str(folder))
    try:
        yield Disk(folder, image) if fine else None
    finally:
        if fine:
            _command("umount", "-l", str(folder))


def begin(workshop: Workshop, disk: Disk, happens: Callable[[], None], give_up_seconds: float) -> tuple[Run, Child]:
    """Start a run on `disk`; `happens` is carried out after step 4, which is after its first checkpoint."""
    run = material.make_run(disk.place / "runs", "run", workshop.model, workshop.rows, evaluation__held_out_rows=0,
                            evaluation__samples=0, checkpoints__every_steps=3, checkpoints__keep=2)  # fmt: skip

    def patch(say: Callable[[], None]) -> None:
        from engine.train import disk as room
        from engine.train import saving
        from engine.train.reporter import Reporter

        room.MARGIN_BYTES = 0  # else the check before a save would stand in for the disk's own refusal
        saving.RETRY_SECONDS, saving.GIVE_UP_SECONDS = 0.3, give_up_seconds
        before, say_warning = Reporter.step, Reporter.warning

        def stepped(self: Any, seconds: float, **fields: Any) -> None:
            before(self, seconds, **fields)
            if fields["step"] == 4:
                happens()

        def warning(self: Any, what: str, *rest: Any, **named: Any) -> None:
            say_warning(self, what, *rest, **named)
            if named.get("kind") == "disk":
                say()

        Reporter.step, Reporter.warning = stepped, warning  # type: ignore[assignment,method-assign]

    return run, carry_in_child(run, before=patch)
