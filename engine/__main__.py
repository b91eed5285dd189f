"""`python -m engine train RUN_DIR [--resume]` carries out a run; `python -m engine job NAME` answers one request."""

from __future__ import annotations

import os
import sys
from pathlib import Path

USAGE = "usage: python -m engine train RUN_DIR [--resume]\n       python -m engine job NAME\n"


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments say and return the exit code. Heavy libraries are imported only where they are used."""
    os.umask(0o077)  # rows, weights and logs belong to the person who runs this
    words = sys.argv[1:] if arguments is None else arguments
    match words:
        case ["train", directory] | ["train", directory, "--resume"] | ["train", "--resume", directory]:
            from engine.train.run import train

            return train(Path(directory), resume="--resume" in words)
        case ["job", name]:
            from engine.jobs import serve

            return serve(name)
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main())
