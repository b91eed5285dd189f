"""A run of two processes of which the second runs out of memory in its second step.

`python -m tests.engine.train.faulty_rank launch RUN` is the launcher; it starts this module again as each process.
With $FAULTY_ALWAYS it runs out of memory however small the pieces are, until the engine has been started afresh.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from engine.runs.store import Run

FAILING_STEP = 1


def launch(directory: Path) -> int:
    from engine.train import launch as launching
    from engine.train.surroundings import prepare_process

    usual = launching.torchrun

    def torchrun(*arguments: Any) -> tuple[Any, str, list[str]]:
        config, command, words = usual(*arguments)
        return config, command, [__spec__.name if word == "engine" else word for word in words]

    launching.torchrun = torchrun
    run = Run(directory)
    prepare_process(run.log_path)
    return launching.Launcher(run, 2).carry_out(resume=False)


def rank(directory: Path) -> int:
    import torch

    from engine.train.rank import work_as_rank
    from engine.train.run import RESTARTS
    from engine.train.sharing import Sharing

    usual = Sharing._in_parts

    def in_parts(self: Any, model: Any, inputs: Any, items: Any) -> Any:
        small = self.parts > 1 if "FAULTY_ALWAYS" not in os.environ else os.environ.get(RESTARTS, "0") != "0"
        if self.world.rank == 1 and not small and self.state.global_step == FAILING_STEP:
            raise torch.OutOfMemoryError("CUDA out of memory, as a test has it")
        return usual(self, model, inputs, items)

    Sharing._in_parts = in_parts  # type: ignore[method-assign]
    return work_as_rank(directory, resume="--resume" in sys.argv)


if __name__ == "__main__":
    sys.exit({"launch": launch, "rank": rank}[sys.argv[1]](Path(sys.argv[2])))
