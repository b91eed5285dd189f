"""A run as a job of SLURM: handing it in, asking where it stands in the queue, taking it out again.

Sources: sbatch(1) (--parsable), squeue(1) (--Format and the sort by priority), scancel(1). The commands are asked at
most every few seconds, since a scheduler serves a whole cluster.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.runs.files import read_json, write_atomic
from engine.runs.store import Run

ANSWER_SECONDS = 10.0
ASK_AGAIN_SECONDS = 10.0
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED")
WORKING = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING")
_answers: dict[str, tuple[float, Place | None]] = {}


@dataclass(frozen=True)
class Place:
    """Where a job stands. `state` and `reason` are SLURM's words; `position` counts from 1 among those that wait in
    the same partition, 0 when it is not known; `start` is SLURM's own guess, as it writes it."""

    job: str
    state: str
    reason: str = ""
    nodes: str = ""
    start: str = ""
    position: int = 0
    waiting: int = 0

    @property
    def waits(self) -> bool:
        return self.state in WAITING

    @property
    def works(self) -> bool:
        return self.state in WORKING

    def sentence(self) -> str:
        """`Queued as SLURM job 12: position 2 of 5, reason Resources, start 2026-11-24T14:00:00.`"""
        if not self.waits:
            return f"SLURM job {self.job} is {self.state.lower()} on {self.nodes or 'its node'}."
        place = f"position {self.position} of {self.waiting}" if self.position else ""
        why = f"reason {self.reason}" if self.reason and self.reason != "None" else ""
        start = f"start {self.start}" if self.start not in {"", "N/A"} else ""
        details = ", ".join(filter(None, (place, why, start)))
        return f"Queued as SLURM job {self.job}{': ' + details if details else ''}."


def record_path(run: Run) -> Path:
    return run.path / "slurm.json"


def job_of(run: Run) -> str:
    """The job that was handed in for this run; empty when there is none."""
    return str(read_json(record_path(run)).get("job") or "")


def submit(run: Run, script: Path) -> str:
    """Hand `script` in and note the job in the run directory. Its number; UserError when SLURM does not take it."""
    fix = f"Mend the lines that your cluster wants otherwise, then: sbatch {script}"
    try:
        done = subprocess.run(["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=60)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"sbatch cannot be used: {error}", str(script), fix, 1) from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:400]
        raise UserError(f"SLURM did not take the job: {said}", str(script), fix, 1)
    job = done.stdout.strip().partition(";")[0]
    _answers.pop(job, None)
    write_atomic(record_path(run), json.dumps({"job": job, "submitted": time.time(), "script": str(script)}))
    return job


def cancel(job: str) -> bool:
    """Take a job out of the queue. Whether SLURM said yes."""
    _answers.pop(job, None)
    return _ask("scancel", job) is not None


def place_of(run: Run) -> Place | None:
    """Where the run's job stands now; None without a job, without SLURM here, or when SLURM has forgotten the job.

    An answer counts for ten seconds.
    """
    job = job_of(run)
    if not job or shutil.which("squeue") is None:
        return None
    asked, known = _answers.get(job, (-ASK_AGAIN_SECONDS, None))
    if time.monotonic() - asked >= ASK_AGAIN_SECONDS:
        known = look_up(job)
        _answers[job] = (time.monotonic(), known)
    return known


def look_up(job: str) -> Place | None:
    """Ask SLURM where a job stands."""
    lines = _ask("squeue", "--noheader", "--jobs", job, "--format", "%T|%r|%N|%S|%P")
    if not lines:
        return None
    state, reason, nodes, start, partition = [*lines[0].split("|"), "", "", "", ""][:5]
    place = Place(job, state, reason, nodes, start)
    if state != "PENDING":
        return place
    ahead = _ask("squeue", "--noheader", "--states", "PENDING", "--partition", partition, "--sort", "-p,i", "--format",
                 "%i") or []  # fmt: skip
    position = ahead.index(job) + 1 if job in ahead else 0
    return Place(job, state, reason, nodes, start, position, len(ahead))


def _ask(*command: str) -> list[str] | None:
    """The lines of an answer; None when the command is not there, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False,
                              stdin=subprocess.DEVNULL)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else None
