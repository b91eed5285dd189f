"""Carry out several runs one after the other as one of two processes, which import the training libraries only once.

    torchrun --nproc-per-node 2 -m tests.engine.train.ranks RUN [RUN!short ...]

In a run that is marked `short` the second process runs out of memory in its second step, unless it cuts its
micro-batches.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from engine.runs.store import Run
from engine.train import process_group
from engine.train.reporter import Reporter
from engine.train.run import carry_out
from engine.train.sharing import Sharing

FAILING_STEP = 1


@contextlib.contextmanager
def memory_short(fails: bool) -> Iterator[None]:
    """Let whole micro-batches fail in the second process."""
    usual = Sharing._in_parts

    def in_parts(self: Any, model: Any, inputs: Any, items: Any) -> Any:
        if fails and self.world.rank == 1 and self.parts == 1 and self.state.global_step == FAILING_STEP:
            raise torch.OutOfMemoryError("CUDA out of memory, as a test has it")
        return usual(self, model, inputs, items)

    Sharing._in_parts = in_parts  # type: ignore[method-assign]
    try:
        yield
    finally:
        Sharing._in_parts = usual  # type: ignore[method-assign]


def main() -> int:
    world = process_group.join(2)
    for word in sys.argv[1:]:
        path, _, mark = word.partition("!")
        run = Run(Path(path))
        with memory_short(mark == "short"):
            code = carry_out(run, False, Reporter(run, "first" if world.leads else "silent"), world)
        if code:
            return code
    process_group.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
