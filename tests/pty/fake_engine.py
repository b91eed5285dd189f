"""An engine without a model: holds the run's lock, writes events and a snapshot, obeys requests. For tests only.

Start it with:

    python tests/pty/fake_engine.py RUN_DIR [--steps N] [--pace SECONDS] [--deaf]
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.recipe import Answer, Recipe
from engine.runs.control import acknowledge, pending
from engine.runs.events import EventLog
from engine.runs.files import write_atomic
from engine.runs.identity import identity
from engine.runs.lock import EngineLock
from engine.runs.store import Run, create_run


def recipe(**values: Any) -> Recipe:
    """A recipe that names a model and data which nobody opens."""
    answers = {"model.source": "models/tiny", "data.source": "data/rows.jsonl", **values}
    return Recipe.from_answers({key: Answer(value, "you", "for a test") for key, value in answers.items()})


def start(root: Path, name: str, *options: str) -> Run:
    """Make a run and let a fake engine work on it in a session of its own, as `launch` starts the real one."""
    run = create_run(recipe(), root, name)
    with run.log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, str(run.path), *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 20
    while not run.state():
        assert process.poll() is None and time.monotonic() < deadline, run.log_path.read_text()
        time.sleep(0.01)
    return run


def end(run: Run) -> None:
    """Kill the engine of `run`, if it still works."""
    from engine.runs.signals import kill_engine

    kill_engine(run)


class Fake:
    """One run, carried out in words only."""

    def __init__(self, run: Run, steps: int, pace: float, deaf: bool) -> None:
        self.run, self.steps, self.pace, self.deaf = run, steps, pace, deaf
        self.log = EventLog(run.events_path)
        self.started = time.time()
        self.step = int(run.state().get("step") or 0)
        self.loss = 3.0

    def state(self, phase: str, reason: str | None = None) -> None:
        document = {
            "v": 1, "phase": phase, "step": self.step, "total_steps": self.steps, "epoch": 1.0, "loss": self.loss,
            "eval_loss": None, "lr": 1e-4, "tokens_per_second": 100.0, "elapsed_seconds": 1.0,
            "eta_seconds": (self.steps - self.step) * self.pace, "heartbeat": self.step, "started": self.started,
            "updated": time.time(), "mono": time.monotonic(), "stop_reason": reason, **identity(),
        }  # fmt: skip
        write_atomic(self.run.state_path, json.dumps(document))

    def carry_out(self) -> None:
        self.log.write("phase", phase="training", detail="without a model")
        reason = "finished"
        while self.step < self.steps:
            self.step += 1
            self.loss = 2 * math.exp(-self.step / 50) + 0.5
            self.log.write("step", step=self.step, total_steps=self.steps, epoch=self.step / self.steps, loss=self.loss,
                           lr=1e-4, grad_norm=1.0, tokens=self.step * 100, seconds=self.pace, mem=1_000_000,
                           tokens_per_second=100.0)  # fmt: skip
            if self.step % 10 == 0:
                self.log.write("eval", step=self.step, loss=self.loss, perplexity=math.exp(self.loss), rows=8,
                               seconds=0.1)  # fmt: skip
            self.state("training")
            if self.obey() in {"stop", "pause"}:
                reason = "stopped"
                break
            time.sleep(self.pace)
        self.log.write("end", reason=reason, step=self.step, seconds=1.0, detail="")
        self.state("done", reason)

    def obey(self) -> str:
        last = ""
        for request in [] if self.deaf else pending(self.run):
            last = request.action
            if last in {"save", "stop", "pause"}:
                self.log.write("checkpoint", step=self.step, path="", bytes=10, seconds=0.0)
            self.log.write("control", id=request.identity, action=last, accepted=True, detail=f"{last} done")
            acknowledge(self.run, request.identity)
        return last


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--pace", type=float, default=0.05)
    parser.add_argument("--deaf", action="store_true")
    options = parser.parse_args()
    run = Run(options.run)
    with EngineLock(run):
        Fake(run, options.steps, options.pace, options.deaf).carry_out()


if __name__ == "__main__":
    main()
