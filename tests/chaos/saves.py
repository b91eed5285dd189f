"""One save, over and over: killed at every file operation, out of room at every byte, cut off from power in between.

Run by `python -m tests.chaos.saves FOLDER STRIDE` with the shim preloaded: it trains six steps once and keeps the
trainer in memory, so that every further case is one forked save of some milliseconds. Prints one JSON document.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.runs.store import Run
from engine.train import checkpoint
from tests.chaos import power
from tests.chaos.rig import Workshop, fork
from tests.engine.train.carried import carry

STEP = 6
KILL, NO_ROOM, BROKEN_ONCE, NO_SYNC = 1, 2, 3, 4


@dataclass(frozen=True)
class Bench:
    """A trainer after step 6, and a run that holds the checkpoints of steps 2 and 4."""

    saver: Any
    base: Run
    shim: Any

    def fresh(self, name: str) -> Run:
        """A copy of the run for one case."""
        target = self.base.path.with_name(name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.base.path, target)
        return Run(target)

    def point_at(self, run: Run) -> None:
        """Let the saver work on `run`."""
        self.saver.session.run = run
        self.saver.session.reporter.run = run


def build(root: Path, shim: Any, method: str) -> Bench:
    """Train to step 6 and stop there, with the checkpoint of step 6 taken away again."""
    from engine.train import phases

    kept: list[Any] = []
    before = phases.build
    phases.build = lambda *arguments: kept.append(before(*arguments)) or kept[-1]
    try:
        workshop = Workshop.build(root)
        run = workshop.run(f"base-{method}", method__name=method, training__max_steps=STEP, checkpoints__every_steps=2,
                           checkpoints__keep=9)  # fmt: skip
        assert carry(run).code == 0
    finally:
        phases.build = before
    saver = kept[0].saver
    shutil.rmtree(checkpoint.step_directory(run.checkpoints_dir, STEP))
    from engine.train.reporter import Reporter

    saver.session.recipe = saver.session.recipe.changed({"checkpoints.keep": 2}, "you", "so that the save prunes")
    saver.session.engine = replace(saver.session.engine, reporter=Reporter(run))
    return Bench(saver, run, shim)


def states(root: Path) -> dict[str, Any]:
    """What a resuming engine would find."""
    search = checkpoint.find_verified(root, set_aside=False)
    return {"best": search.best.step if search.best else None, "damaged": len(search.damaged)}


def kill_at_every_operation(bench: Bench, stride: int) -> dict[str, Any]:
    """SIGKILL before operation k of a save, for every k; then what a resuming engine finds, and whether it can save."""
    outcomes: Counter[str] = Counter()
    at = 0
    while True:
        run = bench.fresh("case")
        bench.point_at(run)
        code = fork(lambda say, at=at, run=run: _armed_save(bench, run, KILL, at), run.path / "log").wait()
        if code == 0:
            return {"operations": at, "outcomes": dict(outcomes)}
        outcomes[_after_a_kill(bench, run, code)] += 1
        at += stride


def _after_a_kill(bench: Bench, run: Run, code: int) -> str:
    found = states(run.checkpoints_dir)
    if code != -9:
        return f"exit code {code}"
    if found["best"] not in (4, STEP) or found["damaged"]:
        return f"found {found}"
    checkpoint.discard_staging(run.checkpoints_dir)
    again = fork(lambda say: _armed_save(bench, run, 0, 0), run.path / "log").wait()
    after = states(run.checkpoints_dir)
    return "ok" if (again, after["best"]) == (0, STEP) else f"saving again: {again} {after}"


def _armed_save(bench: Bench, run: Run, mode: int, at: int) -> int:
    bench.shim.fault_arm(str(run.checkpoints_dir).encode(), mode, at, b"")
    return 0 if bench.saver.save() is not None else 5


def fail_somewhere(bench: Bench, mode: int, points: Iterator[int], expected: str) -> dict[str, Any]:
    """Let a save fail at each point, then make room: it must say why, keep the old ones, and go on by itself."""
    outcomes: Counter[str] = Counter()
    for at in points:
        run = bench.fresh("case")
        bench.point_at(run)
        log = run.path / "log"
        code = fork(lambda say, at=at, run=run: _failing_save(bench, run, mode, at, expected), log).wait()
        outcomes[{0: "ok", 9: "not reached"}.get(code) or f"exit code {code}: {_last_line(log)}"] += 1
    return dict(outcomes)


def _failing_save(bench: Bench, run: Run, mode: int, at: int, expected: str) -> int:
    said: list[str] = []

    def wait(trouble: str, since: float | None) -> float:
        bench.shim.fault_disarm()
        said.append(trouble)
        assert states(run.checkpoints_dir) == {"best": 4, "damaged": 0}, "old ones are whole"
        assert not list(run.checkpoints_dir.glob(".staging*")), "nothing is left"
        return 0.0

    bench.saver._say_and_wait = wait
    bench.shim.fault_arm(str(run.checkpoints_dir).encode(), mode, at, b"")
    path = bench.saver.save()
    assert path is not None
    assert states(run.checkpoints_dir) == {"best": STEP, "damaged": 0}
    if not said:
        return 9
    assert expected in said[0], said[0]
    return 0


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:120] if lines else ""


def record(bench: Bench, log: Path) -> list[tuple[str, str, str]]:
    """The operations of one save, in order."""
    log.unlink(missing_ok=True)
    run = bench.fresh("recorded")
    bench.point_at(run)

    def work(say: Callable[[], None]) -> int:
        bench.shim.fault_arm(str(run.checkpoints_dir).encode(), 0, 0, str(log).encode())
        return 0 if bench.saver.save() is not None else 5

    assert fork(work, run.path / "log").wait() == 0
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    return power.with_hidden_renames([(what, path, second) for what, path, second in lines])


def main() -> int:
    root, stride = Path(sys.argv[1]), int(sys.argv[2])
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
    report: dict[str, Any] = {}
    for method in sys.argv[3:] or ["lora"]:
        bench = build(root / method, shim, method)
        operations = record(bench, root / f"operations-{method}")
        size = sum(path.stat().st_size for path in (bench.base.checkpoints_dir / "step-00000004").rglob("*"))
        report[method] = {
            "operations": len(operations), "bytes": size, "power": power.replay(bench, operations, stride),
            "power, no fsync": power.replay(bench, operations, max(stride, 4), synced=False),
            "kill": kill_at_every_operation(bench, stride),
            "no room": fail_somewhere(bench, NO_ROOM, iter(range(0, size, max(1, size * stride // 200))), "full"),
            "one error": fail_somewhere(bench, BROKEN_ONCE, iter(range(0, len(operations) - 12, stride)), "error"),
        }  # fmt: skip
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
