"""`python -m engine train RUN_DIR [--resume]` carries out a run; `python -m engine job NAME` answers one request.

`python -m engine queue DIR` works off a queue of runs.
`python -m engine rank RUN_DIR` is one of several processes of a run; only torchrun starts it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine.errors import UserError
from engine.runs.nodes import Nodes, parse_nodes

USAGE = ("usage: python -m engine train RUN_DIR [--resume] [--nodes N --node-rank K --rendezvous HOST:PORT]\n"
         "       python -m engine job NAME\n")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments say and return the exit code. Heavy libraries are imported only where they are used."""
    os.umask(0o077)  # rows, weights and logs belong to the person who runs this
    words = sys.argv[1:] if arguments is None else arguments
    match words:
        case ["train", *rest] if given := _of_run(rest):
            from engine.train.run import train

            return train(*given)
        case ["rank", directory] | ["rank", directory, "--resume"]:
            from engine.train.rank import work_as_rank

            code = work_as_rank(Path(directory), resume="--resume" in words)
            sys.stderr.flush()
            os._exit(code)  # all is written, and clearing the libraries away takes two seconds of everybody's time
        case ["queue", directory]:
            from engine.runs.queue_work import work_off

            return work_off(Path(directory))
        case ["job", name]:
            from engine.jobs import serve

            return serve(name)
    sys.stderr.write(USAGE)
    return 2


def _of_run(words: list[str]) -> tuple[Path, bool, Nodes] | None:
    """The run directory, whether to resume, and which of several machines this is; None for anything else."""
    rest = [word for word in words if word != "--resume"]
    try:
        return (Path(rest[0]), len(rest) < len(words), parse_nodes(rest[1:])) if rest else None
    except (ValueError, UserError):
        return None


if __name__ == "__main__":
    sys.exit(main())
