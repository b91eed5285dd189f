"""Whether a run that is silent only waits for its turn: as a job that waits in SLURM's queue, for the first time or
again after it was pre-empted or moved."""

from __future__ import annotations

import time

from engine.runs.liveness import Liveness
from engine.runs.slurm import job_of, look_up
from engine.runs.store import Run
from tui.verbs.output import say

PATIENCE_SECONDS = 20.0
"""How long after an engine has stopped its job may take to be back in the queue."""


class QueueWatch:
    """Asked again and again while a run is followed; says where its job stands whenever that has changed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._said = ""
        self._since: float | None = None

    def goes_on(self, now: Liveness) -> bool:
        """Whether to stay, although no engine works now."""
        if now.state == "queued":
            self._since = None
            if now.detail != self._said:
                self._said = now.detail
                say(now.detail)
            return True
        return now.state in {"stopped", "lost", "elsewhere", "new"} and self._may_come_back()

    def _may_come_back(self) -> bool:
        job = job_of(self.run)
        if not job:
            return False
        self._since = self._since if self._since is not None else time.monotonic()
        if time.monotonic() - self._since > PATIENCE_SECONDS:
            return False
        time.sleep(1.0)
        place = look_up(job)
        return place is not None and (place.waits or place.works)
