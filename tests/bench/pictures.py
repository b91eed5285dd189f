"""Pictures of the program, drawn from terminal cells: for the README, and to look at every page.

    python tests/bench/pictures.py OUT_DIR [--size 120x40] [--no-color]
    python tests/bench/pictures.py OUT_DIR --size 80x24 -- "tunewright runs" "wait:demo" "picture:runs"

Without a script of its own it plays the demo from the first page to the export (two to three minutes of training on
two processors). A script is a command and then steps: `wait:TEXT`, `picture:NAME`, `settle:SECONDS`, a key's name, or
text to type.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from tests.terminal import Terminal  # noqa: E402

PATIENCE_SECONDS = 400
WIZARD_PAGES = {
    "machine": "your machine offers",
    "goal": "should the model learn to do?",
    "model": "do you want to train?",
    "data": "should the model learn from?",
    "method": "should it be trained?",
    "settings": "values will be used",
    "review": "Start the run?",
}
"""Page -> words of its question, by which it is known to be on the screen."""


def play(command: Sequence[str], steps: Sequence[str], out: Path, columns: int, rows: int, **environment: str) -> None:
    """Run a command, take the steps one by one, and write the pictures into `out`."""
    with Terminal(command, columns, rows, environment, PROJECT) as terminal:
        terminal.settle(quiet=1.0)
        for step in steps:
            verb, _, rest = step.partition(":")
            if verb == "wait" and rest:
                terminal.wait_for(rest, PATIENCE_SECONDS)
            elif verb == "picture" and rest:
                terminal.settle(quiet=0.4, at_most=3.0)
                terminal.picture(out / f"{rest}.png")
                print(out / f"{rest}.png", flush=True)
            elif verb == "settle" and rest:
                terminal.read_for(float(rest))
            else:
                terminal.send(step)
                terminal.settle(quiet=0.4, at_most=3.0)


def demo_steps() -> list[str]:
    """From the first question to the export, by keys only."""
    steps: list[str] = []
    for page, words in WIZARD_PAGES.items():
        steps += [f"wait:{words}", f"picture:wizard-{page}", "enter"]
    return [
        *steps,
        "wait:of ", "wait:evaluation", "picture:training",
        "wait:Finished after", "picture:finished", "a", "picture:answers", "a", "l", "picture:log", "l",
        "p", "wait:Ready", "f3", "wait:tokens in", "settle:4", "picture:playground", "escape",
        "x", "picture:export", "enter", "wait:number format?", "enter", "wait:Done.", "picture:exported",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--no-color", action="store_true")
    parser.add_argument("script", nargs="*", help="a command, then its steps; by default the demo")
    arguments = parser.parse_intermixed_args()
    columns, rows = map(int, arguments.size.split("x"))
    command, *steps = arguments.script or ["tunewright demo", *demo_steps()]
    words = shlex.split(command)
    if words[0] == "tunewright":
        words = [sys.executable, "-m", "tui", *words[1:]]
    with tempfile.TemporaryDirectory() as home:
        own = {"TUNEWRIGHT_HOME": f"{home}/tunewright", "XDG_STATE_HOME": f"{home}/state"}
        kept = {name: os.environ.get(name, value) for name, value in own.items()} if arguments.script else own
        colour = {"NO_COLOR": "1"} if arguments.no_color else {}
        play(words, steps, arguments.out, columns, rows, **kept, **colour)


if __name__ == "__main__":
    main()
