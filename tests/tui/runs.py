"""Run directories made up for tests of the screens: the same events that the engine writes, without an engine."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

from engine.runs.events import EventLog
from engine.runs.store import Run

ANSWER = '{"items": [{"name": "mushroom", "count": 2}], "delivery": true}'


def make_run(folder: Path, name: str = "demo-1") -> Run:
    """An empty run directory."""
    run = Run(folder / name)
    for place in (run.path, run.control_dir, run.checkpoints_dir, run.exports_dir):
        place.mkdir(parents=True, exist_ok=True)
    run.recipe_path.write_text('[model]\nsource = "demo"\n')
    return run


def step(log: EventLog, number: int, total: int, loss: float, **fields: Any) -> None:
    """One step event with every field the engine writes."""
    usual = {"epoch": 3 * number / total, "lr": 2e-4, "grad_norm": 0.8, "tokens": number * 2_048, "seconds": 0.4,
             "mem": 700_000_000, "tokens_per_second": 5_000.0}  # fmt: skip
    log.write("step", step=number, total_steps=total, loss=loss, **{**usual, **fields})


def write_steps(log: EventLog, first: int, last: int, total: int, seed: int = 1) -> None:
    """Steps of a run that learns, with an evaluation, a sample and a checkpoint at every tenth part."""
    numbers = random.Random(seed)
    for number in range(first, last + 1):
        share = number / total
        step(log, number, total, 0.2 + 2.5 * math.exp(-5 * share) + numbers.gauss(0, 0.1) * math.exp(-3 * share))
        if number % (total // 10) == 0:
            loss = 0.3 + 2.5 * math.exp(-5 * share)
            log.write("eval", step=number, loss=loss, perplexity=math.exp(loss), rows=64, seconds=1.0)
            log.write("sample", step=number, prompt="Two mushroom pizzas, please.", base="the the",
                      tuned=ANSWER if share > 0.5 else "{", expected=ANSWER)  # fmt: skip
            log.write("checkpoint", step=number, path=f"checkpoints/step-{number:08d}", bytes=7_000_000, seconds=0.3)


def running(folder: Path, steps: int = 120, total: int = 400, name: str = "demo-1") -> tuple[Run, EventLog]:
    """A run in the middle of its training, and the log to go on with."""
    run = make_run(folder, name)
    log = EventLog(run.events_path)
    log.write("phase", phase="reading data", detail="1,016 rows")
    log.write("phase", phase="training", detail="")
    write_steps(log, 1, steps, total)
    return run, log


def finished(folder: Path, total: int = 400, name: str = "done") -> Run:
    """A run that came to its end, with a result folder."""
    run, log = running(folder, total, total, name)
    run.result_dir.mkdir()
    log.write("phase", phase="done", detail="")
    log.write("end", reason="finished", step=total, seconds=64.2, detail="")
    return run


def failed(folder: Path, name: str = "failed") -> Run:
    """A run that ended with an error in words."""
    run, log = running(folder, 120, 400, name)
    log.write("error", what="The GPU ran out of memory at step 120.", where="GPU 0",
              fix="Halve the micro-batch size and double gradient accumulation.")  # fmt: skip
    log.write("end", reason="failed", step=120, seconds=64.2, detail="out of memory")
    run.log_path.write_text("loading\nTraceback (most recent call last):\nOutOfMemoryError: 2 GB\n")
    return run
