"""kill -9 at random moments and inside saves: can the run go on, and is it the same run at its end?"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from engine.runs.store import Run
from tests.chaos.rig import Child, Workshop, carry_in_child, digest, say_at_saves
from tests.engine.train.carried import Carried


@dataclass
class Tally:
    """Outcomes of many kills: `same` went on and ended with identical weights and losses."""

    name: str
    same: int = 0
    other: int = 0
    dead: int = 0
    late: int = 0
    """Ended before the kill came."""
    inside_a_save: int = 0
    resumed_from: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        return self.same + self.other + self.dead

    def line(self) -> str:
        errors = "; ".join(f"{count} x {text}" for text, count in self.errors.most_common(3))
        return (f"| {self.name} | {self.kills} | {self.inside_a_save} | {self.dead} | {self.other} | {self.same} | "
                f"{errors} |")  # fmt: skip


HEADER = """| test | kills | inside a save | cannot go on | other weights | identical | errors |
|---|---|---|---|---|---|---|"""


def kill_ours(workshop: Workshop, method: str, kills: int, aimed: bool, seed: int, steps: int = 12) -> Tally:
    """Kill our engine `kills` times, each time in a fresh run, and resume it."""
    tally = Tally(f"ours, {method}, {'aimed at saves' if aimed else 'any moment'}")
    reference = workshop.run(f"reference-{method}-{int(aimed)}-{seed}", method__name=method, training__max_steps=steps)
    started = time.monotonic()
    assert carry_in_child(reference).wait() == 0, reference.log_path.read_text()
    duration = time.monotonic() - started
    whole, weights = Carried(reference).steps, digest(reference)
    chance = random.Random(seed)
    for number in range(kills):
        name = f"kill-{method}-{int(aimed)}-{seed}-{number}"
        run = workshop.run(name, method__name=method, training__max_steps=steps)
        child = carry_in_child(run, before=say_at_saves)
        _wait_for_the_moment(child, chance, duration, steps // 3 if aimed else 0)
        if child.kill() == 0:
            tally.late += 1
        else:
            _judge(tally, run, whole, weights)
        shutil.rmtree(run.path)
    return tally


def _wait_for_the_moment(child: Child, chance: random.Random, duration: float, saves: int) -> None:
    if not saves:
        time.sleep(chance.random() * duration)
        return
    child.hear(chance.randrange(1, saves + 1))
    time.sleep(chance.random() * 0.05)


def _judge(tally: Tally, run: Run, whole: dict[int, Any], weights: str) -> None:
    if any(path.name.startswith(".staging") for path in run.checkpoints_dir.iterdir()):
        tally.inside_a_save += 1
    code = carry_in_child(run, resume=True).wait()
    said = Carried(run)
    if code != 0:
        tally.dead += 1
        tally.errors[" ".join(e["what"][:80] for e in said.of("error")) or f"exit code {code}"] += 1
        return
    rewinds = said.of("rewind")
    tally.resumed_from[rewinds[-1]["step"] if rewinds else 0] += 1
    same = digest(run) == weights and said.steps == whole
    tally.same += same
    tally.other += not same


def kill_stock(workshop: Workshop, method: str, kills: int, aimed: bool, seed: int, steps: int = 12) -> Tally:
    """The same for TRL's own trainer, its own saving and its own `resume_from_checkpoint`."""
    from tests.chaos import stock

    tally = Tally(f"stock TRL, {method}, {'aimed at saves' if aimed else 'any moment'}")
    folder = workshop.root / f"stock-{method}-{int(aimed)}-{seed}"
    started = time.monotonic()
    assert stock.train_in_child(workshop, folder / "reference", method, steps).wait() == 0
    duration = time.monotonic() - started
    weights = (folder / "reference" / "weights").read_text()
    chance = random.Random(seed)
    for number in range(kills):
        place = folder / f"kill-{number}"
        child = stock.train_in_child(workshop, place, method, steps)
        _wait_for_the_moment(child, chance, duration, steps // 3 if aimed else 0)
        if child.kill() == 0:
            tally.late += 1
        else:
            again = partial(stock.train_in_child, workshop, place, method, steps)
            _judge_stock(tally, again, place, weights)
        shutil.rmtree(place)
    return tally


def _judge_stock(tally: Tally, again: Callable[[], Child], place: Any, weights: str) -> None:
    from tests.chaos import stock

    tally.inside_a_save += stock.was_saving(place)
    if again().wait() != 0:
        tally.dead += 1
        tally.errors[stock.last_error(place)] += 1
        return
    same = (place / "weights").read_text() == weights
    tally.same += same
    tally.other += not same
