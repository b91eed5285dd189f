"""The wall clock jumps while a run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from engine.runs.store import Run
from engine.train import checkpoint
from tests.chaos.rig import Workshop, carry_in_child
from tests.engine.train.carried import Carried

JUMPS: dict[str, Callable[[float], float]] = {
    "one hour back": lambda now: now - 3600, "one hour on": lambda now: now + 3600,
    "ten years on": lambda now: now + 10 * 365 * 86400, "1970": lambda now: 0.0,
}  # fmt: skip
JUMP_STEP = 5


def jump(workshop: Workshop, name: str) -> tuple[Run, int]:
    """Carry out a run whose clock jumps in the middle; (run, exit code)."""
    run = workshop.run(f"clock-{name.replace(' ', '-')}")

    def patch(say: Callable[[], None]) -> None:
        from engine.train.reporter import Reporter

        before, real = Reporter.step, time.time

        def step(self: Any, seconds: float, **fields: Any) -> None:
            if fields["step"] == JUMP_STEP:
                time.time = lambda: JUMPS[name](real())
            before(self, seconds, **fields)

        Reporter.step = step  # type: ignore[method-assign]

    return run, carry_in_child(run, before=patch).wait()


def verdict(run: Run, code: int) -> str:
    """`ok`, or what is wrong."""
    steps = checkpoint.steps_on_disk(run.checkpoints_dir)
    said = Carried(run)
    numbers = [event["step"] for event in said.of("step")]
    finite = all(abs(float(event["seconds"])) < 60 for event in said.of("step"))
    state = run.state()
    fine = code == 0 and steps[-1] == 12 and numbers == list(range(1, 13)) and finite and state["eta_seconds"] == 0
    return "ok" if fine else f"code {code}, checkpoints {steps}, steps {numbers}, {state}"
