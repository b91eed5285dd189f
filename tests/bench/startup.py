"""CPU time of the first moments, as a person waits for them: help, first page, attach, plain verbs.

    python tests/bench/startup.py [--times N]

CPU time and not wall-clock time, since the latter depends on what else runs. Medians of N starts (default 9).
The first page and the screen of a run are started in a pseudo terminal of 120x40 and read until they are painted.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from tests.pty import fake_engine  # noqa: E402
from tests.terminal import Terminal  # noqa: E402

BUDGETS_MS = {"--help": 60, "--version": 60, "first page": 250}


def command_cpu(*words: str) -> float:
    """CPU seconds of a command that ends by itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "tui", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   stdin=subprocess.DEVNULL, cwd=PROJECT, check=False)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def painted_cpu(text: str, *words: str) -> float:
    """CPU seconds until `text` stands on the screen."""
    with Terminal([sys.executable, "-m", "tui", *words], 120, 40, directory=PROJECT) as terminal:
        end = time.monotonic() + 20
        while text.encode() not in terminal.raw():
            assert time.monotonic() < end and not terminal.ended, terminal.text()
            terminal.read(0.01)
        return terminal.cpu_seconds()


def median_ms(measure: Callable[[], float], times: int) -> str:
    """Median and range in milliseconds."""
    found = sorted(1000 * measure() for _ in range(times))
    return f"{statistics.median(found):6.0f} ms   ({found[0]:.0f} to {found[-1]:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=9)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(TUNEWRIGHT_HOME=home, XDG_STATE_HOME=f"{home}/state", XDG_CONFIG_HOME=f"{home}/config")
        run = fake_engine.start(Path(home) / "runs", "bench", "--steps", "2000", "--pace", "0.2")
        cases: dict[str, Callable[[], float]] = {
            "--help": lambda: command_cpu("--help"),
            "--version": lambda: command_cpu("--version"),
            "runs": lambda: command_cpu("runs"),
            "hardware": lambda: command_cpu("hardware"),
            "first page": lambda: painted_cpu("Seven pages"),
            "attach": lambda: painted_cpu("Stop and save", "attach", "bench"),
        }
        try:
            for name, measure in cases.items():
                measure()  # the first start compiles
                budget = f"  budget {BUDGETS_MS[name]} ms" if name in BUDGETS_MS else ""
                print(f"{name:<12} {median_ms(measure, times)}{budget}", flush=True)
        finally:
            fake_engine.end(run)


if __name__ == "__main__":
    main()
