"""Save a checkpoint while training goes on: check room, write, commit, say so, prune."""

from __future__ import annotations

import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.train import checkpoint, disk
from engine.train.randomness import RandomState
from engine.train.session import Session
from engine.train.training_state import NotFinite, Whole, state_bytes, write_training_state

RETRY_SECONDS = 60.0
GIVE_UP_SECONDS = 1800.0
"""How often and how long a run waits for room on the disk before it stops, resumably."""


class NoRoom(Exception):
    """The disk did not take a checkpoint for as long as the run was willing to wait. `what` is a sentence."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Saver:
    """Writes checkpoints of `trainer`. `random_state` must be set after every optimizer step."""

    def __init__(self, session: Session, trainer: Any) -> None:
        self.session = session
        self.trainer = trainer
        self.random_state: RandomState = {}
        self.checkpoint_bytes = state_bytes(trainer)
        self.whole: Whole | None = None
        """What is written, where the trainer holds only a part of it."""

    @property
    def root(self) -> Path:
        """Where checkpoints are; another place when the run directory was moved meanwhile."""
        return self.session.reporter.run.checkpoints_dir

    def newest(self) -> Path | None:
        """The directory of the highest step, if any."""
        steps = checkpoint.steps_on_disk(self.root)
        return checkpoint.step_directory(self.root, steps[-1]) if steps else None

    def save(self) -> Path | None:
        """Save the last finished step; None before the first. Waits while the disk is full.

        Raises NoRoom when it stays full, and UserError when the weights are no numbers.
        """
        step = int(self.trainer.state.global_step)
        path = checkpoint.step_directory(self.root, step)
        if step == 0 or path.exists():
            return path if path.exists() else None
        reporter = self.session.reporter
        before = reporter.state["phase"]
        reporter.phase("saving", f"checkpoint of step {step}")
        path = self._save_when_there_is_room(step)
        self._prune()
        reporter.phase(before)
        return path

    def _save_when_there_is_room(self, step: int) -> Path:
        waited_since: float | None = None
        while True:
            trouble = self._try(step)
            if isinstance(trouble, Path):
                return trouble
            waited_since = self._say_and_wait(trouble, waited_since)

    def _try(self, step: int) -> Path | str:
        """The new checkpoint, or a sentence about the disk."""
        started, root = time.monotonic(), self.root
        staging = None
        try:
            if not disk.has_room(root, self.checkpoint_bytes):
                return "The disk is full."
            staging = checkpoint.new_staging(root, step)
            self._write(staging)
            path = checkpoint.commit(staging, root, step, self.session.facts)
        except NotFinite as error:
            raise self._broken(step, error) from error
        except Exception as error:  # OSError, SafetensorError and torch's own RuntimeError all mean the disk here
            if self._was_moved(root):
                return self._try(step)
            trouble = disk.disk_trouble(error)
            if not trouble:
                raise
            traceback.print_exc(file=sys.stderr)
            return trouble
        finally:
            if staging is not None and staging.exists():
                shutil.rmtree(staging, ignore_errors=True)
        self.session.reporter.event(
            "checkpoint", durable=True, step=step, path=str(path), bytes=checkpoint.size_of(path),
            seconds=round(time.monotonic() - started, 3),
        )  # fmt: skip
        return path

    def _was_moved(self, root: Path) -> bool:
        """Whether checkpoints have another place than `root` by now: then it was no trouble with the disk."""
        if not root.is_dir():
            self.session.engine.pulse.look_where()
        return self.root != root

    def _write(self, staging: Path) -> None:
        progress = self.session.progress
        progress.elapsed_seconds = round(self.session.reporter.elapsed_seconds, 3)
        progress.parts = self.trainer.parts
        progress.best_step = self.session.evaluations.saved_step
        best = self.session.evaluations.saved_loss
        progress.best_loss = best if best < float("inf") else None
        lowest = self.session.evaluations.lowest
        progress.lowest_loss = lowest if lowest < float("inf") else None
        progress.stale = self.session.evaluations.stale
        write_training_state(self.trainer, staging, self.random_state, progress, self.whole)

    def _say_and_wait(self, trouble: str, waited_since: float | None) -> float:
        """Wait a while for room, still listening. Raises NoRoom when it takes too long or the run shall end."""
        reporter, orders = self.session.reporter, self.session.orders
        now = time.monotonic()
        if waited_since is None:
            needed = f"{self.checkpoint_bytes / 1e6:.0f} MB"
            reporter.warning(
                f"{trouble} The run waits and goes on by itself.", str(self.root),
                f"Make room for {needed}, or stop the run: the last checkpoint stays.", kind="disk",
            )  # fmt: skip
        since = waited_since if waited_since is not None else now
        until = min(now + RETRY_SECONDS, since + GIVE_UP_SECONDS)
        while time.monotonic() < until:
            if orders.asked_to_end:
                raise NoRoom(trouble)
            reporter.tick()
            time.sleep(0.2)
        if time.monotonic() - since >= GIVE_UP_SECONDS:
            raise NoRoom(trouble)
        return since

    def _broken(self, step: int, error: NotFinite) -> UserError:
        what = f"The weights are no numbers any more ({error.name}), so they were not saved."
        fix = "Resume from the last checkpoint with a lower learning rate in a new run."
        return UserError(what, f"step {step}", fix, exit_code=1)

    def _prune(self) -> None:
        keep = max(2, self.session.recipe.checkpoints.keep)
        best = self.session.evaluations.saved_step
        checkpoint.prune(self.root, keep, [best] if best else [])
