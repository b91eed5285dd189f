"""A queue on disk: runs that are carried out one after another, or one per GPU.

A folder with `queue.json` (which runs, on which GPUs), a lock that its worker holds, and a file that asks it to stop.
Every run is made, with its recipe, before the first one starts, so that a bad recipe is known at once. Where a run
stands is asked of the run itself; the queue remembers only what no run can say: that it could not be started.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.places import home_directory
from engine.runs.files import read_json, write_atomic
from engine.runs.liveness import Liveness, liveness
from engine.runs.store import Run, check_name

STOP_FILE = "stop"
RETRY_SECONDS = 0.02


@dataclass(frozen=True)
class Queue:
    """The folder of a queue. Paths only; `read` says what is in it."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def log_path(self) -> Path:
        return self.path / "queue.log"

    def document(self) -> dict[str, Any]:
        """{"runs": [paths], "devices": [GPU names, or ""], "changed": {run: {key: value}}, "failures": {run: why}}."""
        return read_json(self.path / "queue.json")

    def runs(self) -> list[Run]:
        """The runs in their order. Their folders may have been deleted since."""
        return [Run(Path(path)) for path in self.document().get("runs", ())]

    def devices(self) -> list[str]:
        """One GPU for each run that may go on at the same time; [""] is one run with all that is visible."""
        return [str(name) for name in self.document().get("devices", ())] or [""]

    def failures(self) -> dict[str, str]:
        """Why runs could not be started, by their name."""
        return {str(name): str(why) for name, why in self.document().get("failures", {}).items()}

    def remember_failure(self, run: Run, why: str) -> None:
        """`run` could not be started; the queue goes on with the next one."""
        document = self.document()
        document["failures"] = {**document.get("failures", {}), run.name: why}
        write_atomic(self.path / "queue.json", json.dumps(document, indent=1))

    def interrupted(self) -> list[str]:
        """Names of the runs that were stopped because the queue was: a later worker goes on with them."""
        return [str(name) for name in self.document().get("interrupted", ())]

    def remember_interrupted(self, names: Sequence[str]) -> None:
        """These runs were stopped with the queue."""
        write_atomic(self.path / "queue.json", json.dumps({**self.document(), "interrupted": list(names)}, indent=1))

    @property
    def asked_to_stop(self) -> bool:
        return (self.path / STOP_FILE).exists()

    def ask_to_stop(self) -> None:
        """The worker stops its runs, which save, and starts no more."""
        (self.path / STOP_FILE).touch()

    def take_stop_back(self) -> None:
        (self.path / STOP_FILE).unlink(missing_ok=True)

    @contextlib.contextmanager
    def held(self, patience_seconds: float = 0.0) -> Iterator[bool]:
        """The worker's lock; yields False when another has it, and still has it after so long.

        Whoever looks whether a worker is there takes the lock for a moment, so a worker asks more than once.
        """
        handle = os.open(self.path / "queue.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience_seconds
        try:
            while not (taken := _lock(handle)) and time.monotonic() < deadline:
                time.sleep(RETRY_SECONDS)
            yield taken
        finally:
            os.close(handle)

    @property
    def worked_on(self) -> bool:
        """Whether a worker is there."""
        with self.held() as free:
            return not free


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def queues_root() -> Path:
    """Where queues are kept, beside the runs."""
    return home_directory() / "queues"


def make_queue(
    runs: Sequence[Run], devices: Sequence[str], changed: dict[str, dict[str, str]], name: str = ""
) -> Queue:
    """Write a new queue over runs that exist. Raises UserError when it cannot be made."""
    chosen = check_queue_name(name or time.strftime("queue-%Y%m%d-%H%M%S"))
    queue = Queue(queues_root() / chosen)
    document = {"v": 1, "made": time.time(), "runs": [str(run.path) for run in runs], "devices": list(devices),
                "changed": changed}  # fmt: skip
    try:
        queue.path.mkdir(parents=True, mode=0o700)
        write_atomic(queue.path / "queue.json", json.dumps(document, indent=1))
    except FileExistsError as error:  # made since the name was checked
        raise _taken(queue) from error
    except OSError as error:
        raise UserError(f"The queue cannot be written: {error.strerror}.", str(queue.path), "Make room.") from error
    return queue


def check_queue_name(name: str) -> str:
    """Return `name`, or "" for one that is made later, when a new queue may be called so. Raises UserError.

    To be asked before the runs of a queue are made, which would be left behind.
    """
    if not name:
        return ""
    try:
        queue = Queue(queues_root() / check_name(name))
    except UserError as error:
        raise UserError(f"{name!r} cannot be the name of a queue.", "--name", error.fix) from error
    if queue.path.exists():
        raise _taken(queue)
    return name


def _taken(queue: Queue) -> UserError:
    return UserError(f"There is already a queue called {queue.name}.", str(queue.path), "Choose another --name.")


def open_queue(name: str) -> Queue:
    """The queue called `name`. Raises UserError."""
    queue = Queue(queues_root() / name)
    if not re.fullmatch(r"[\w.-]+", name) or not (queue.path / "queue.json").is_file():
        raise UserError(f"There is no queue called {name}.", str(queues_root()), "List them: tunewright queue.")
    return queue


def list_queues() -> list[Queue]:
    """Every queue, the newest first."""
    found = [path.parent for path in queues_root().glob("*/queue.json")]
    return [Queue(path) for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def standing(queue: Queue) -> list[tuple[Run, Liveness]]:
    """Each run with where it stands: "new" waits, "gone" was deleted, "unstartable" could not be started."""
    failures = queue.failures()
    return [(run, _standing(run, failures)) for run in queue.runs()]


def _standing(run: Run, failures: dict[str, str]) -> Liveness:
    if not run.recipe_path.is_file():
        return Liveness("lost", "Its folder was deleted.")
    now = liveness(run)
    if now.state == "new" and run.name in failures:
        return Liveness("failed", failures[run.name])
    return now
