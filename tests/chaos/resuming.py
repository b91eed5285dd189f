"""Resume from every step of ten configurations: the same losses, gradient norms and weights, bit by bit?"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from tests.chaos.rig import Workshop, carry_in_child, digest
from tests.engine.train.carried import Carried, copy_until

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "full": {"method__name": "full"},
    "LoRA, dropout": {"method__dropout": 0.1},
    "QLoRA": {"method__name": "qlora"},
    "packing": {"training__packing": True, "training__micro_batch_size": 1},
    "accumulation of 3, last group incomplete": {"training__gradient_accumulation_steps": 3},
    "linear schedule with warm-up": {"training__scheduler": "linear", "training__warmup_ratio": 0.3},
    "constant rate, adamw_torch": {"training__scheduler": "constant", "training__optimizer": "adamw_torch"},
    "gradient checkpointing, evaluation": {
        "training__gradient_checkpointing": True, "evaluation__held_out_rows": 6, "evaluation__every_steps": 2},
    "bf16": {"training__precision": "bf16"},
    "two data loader workers": {"method__dropout": 0.1},
}  # fmt: skip


def with_workers(say: Callable[[], None]) -> None:
    """Patch: batches come from two forked workers. No recipe asks for them; a later one may."""
    from engine.train import build

    before = build.make_arguments

    def make_arguments(*given: Any) -> Any:
        arguments = before(*given)
        arguments.dataloader_num_workers = 2
        return arguments

    build.make_arguments = make_arguments


def from_every_step(workshop: Workshop, name: str, number: int) -> tuple[int, list[int]]:
    """(steps resumed from, steps after which something differed)."""
    settings = {**CONFIGURATIONS[name], "checkpoints__every_steps": 1, "checkpoints__keep": 99}
    run = workshop.run(f"resuming-{number}", **settings)
    patch = with_workers if "workers" in name else None
    assert carry_in_child(run, before=patch).wait() == 0, run.log_path.read_text()[-2000:]
    whole, weights = Carried(run), digest(run)
    differs = []
    for step in range(1, 12):
        again = copy_until(whole, f"resuming-{number}-{step}", step)
        code = carry_in_child(again, resume=True, before=patch).wait()
        if code != 0 or Carried(again).steps != whole.steps or digest(again) != weights:
            differs.append(step)
        shutil.rmtree(again.path)
    return 11, differs
