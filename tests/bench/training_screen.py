"""The training screen in a real pty: CPU, bytes and answer times, from an idle run to ten thousand events a second.

    python tests/bench/training_screen.py [steady burst attach slow stall]

CPU is that of the screen's process (all threads); bytes are counted at the terminal; times are wall-clock and suffer
from whatever else runs. Keys: the reading cursor is moved, and the time until its new words arrive is taken.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from engine.runs.events import EventLog  # noqa: E402
from engine.runs.store import Run  # noqa: E402
from tests.terminal import Terminal  # noqa: E402
from tests.tui import runs  # noqa: E402

OPEN = """
import sys
from pathlib import Path
from engine.runs.store import Run
from tui.app import TunewrightApp
TunewrightApp("attach", run=Run(Path(sys.argv[1]))).run()
"""


@contextmanager
def opened(run: Run, columns: int = 120, rows: int = 40) -> Iterator[Terminal]:
    """The training screen of `run` in a terminal."""
    with Terminal([sys.executable, "-c", OPEN, str(run.path)], columns, rows, directory=PROJECT) as terminal:
        yield terminal


class Writer(threading.Thread):
    """Writes steps at a rate, as the engine does, until it is stopped."""

    def __init__(self, run: Run, rate: float, first: int, total: int) -> None:
        super().__init__(daemon=True)
        self.log, self.rate, self.step, self.total = EventLog(run.events_path), rate, first, total
        self.longest_write = 0.0
        self.stopping = threading.Event()

    def run(self) -> None:
        begun, written = time.perf_counter(), 0
        while not self.stopping.wait(0.01):
            due = int((time.perf_counter() - begun) * self.rate)
            for _ in range(due - written):
                self.step += 1
                start = time.perf_counter()
                loss = 0.4 + 2.5 * math.exp(-4 * self.step / self.total) + 0.1 * math.sin(self.step * 1.7)
                runs.step(self.log, self.step, self.total, loss)
                self.longest_write = max(self.longest_write, time.perf_counter() - start)
            written = due

    def stop(self) -> None:
        self.stopping.set()
        self.join()


def key_times(terminal: Terminal, count: int, read: Callable[[float], object]) -> list[float]:
    """Seconds from pressing an arrow to the words under the cursor, `count` times."""
    terminal.send("left", "left")
    settled = time.perf_counter() + 1
    while time.perf_counter() < settled:
        read(0.02)
    times = []
    for number in range(count):
        before = sum(len(data) for _, data in terminal.output)
        start = time.perf_counter()
        terminal.send("left" if number % 2 else "right")
        while not re.search(rb"[0-9]: ", terminal.raw()[before:]):
            read(0.002)
            if time.perf_counter() - start > 20:
                break
        times.append(time.perf_counter() - start)
        end = time.perf_counter() + 0.3
        while time.perf_counter() < end:
            read(0.02)
    return times


def watch(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """CPU share of a core and bytes a second over `seconds`."""
    cpu, start, size = terminal.cpu_seconds(), time.perf_counter(), len(terminal.raw())
    terminal.read_for(seconds)
    spent = time.perf_counter() - start
    return (terminal.cpu_seconds() - cpu) / spent, (len(terminal.raw()) - size) / spent


def say(what: str, **values: object) -> None:
    print(json.dumps({"what": what, **values}), flush=True)


def percentile(times: list[float], share: float) -> float:
    return 1000 * sorted(times)[min(len(times) - 1, int(share * len(times)))]


def steady(folder: Path) -> None:
    """Ten events a second, then a run that has ended."""
    run, _ = runs.running(folder, 2_000, 100_000, "steady")
    writer = Writer(run, 10, 2_000, 100_000)
    with opened(run) as terminal:
        terminal.wait_for("smoothed")
        terminal.read_for(3)
        writer.start()
        share, rate = watch(terminal, 15)
        writer.stop()
    say("10 events/s, 120x40", cpu_percent=round(100 * share, 1), bytes_per_second=round(rate))
    with opened(runs.finished(folder)) as terminal:
        terminal.wait_for("Finished after")
        terminal.read_for(4)
        share, rate = watch(terminal, 10)
    say("ended run, 120x40", cpu_percent=round(100 * share, 2), bytes_per_second=round(rate))


def burst(folder: Path) -> None:
    """Ten thousand events a second for ten seconds, with keys meanwhile."""
    run, _ = runs.running(folder, 100, 200_000, "burst")
    writer = Writer(run, 10_000, 100, 200_000)
    with opened(run) as terminal:
        terminal.wait_for("smoothed")
        terminal.read_for(2)
        writer.start()
        share, rate = watch(terminal, 6)
        times = key_times(terminal, 12, terminal.read)
        writer.stop()
        terminal.wait_for(f"step {writer.step:,} of")
    say("10,000 events/s", cpu_percent=round(100 * share, 1), bytes_per_second=round(rate), written=writer.step - 100,
        key_ms=[round(percentile(times, share)) for share in (0.5, 0.95)], lost=0)  # fmt: skip


def write_long(folder: Path, steps: int) -> Run:
    """A run of so many steps, written at once."""
    run = runs.make_run(folder, "long")
    with run.events_path.open("w") as stream:
        for n in range(1, steps + 1):
            loss = 0.4 + 2.5 * math.exp(-4 * n / steps) + 0.1 * math.sin(n * 1.7)
            stream.write(
                f'{{"v":1,"seq":{n},"t":{1.79e9 + n},"mono":{n},"type":"step","step":{n},"total_steps":{2 * steps},'
                f'"epoch":{n / steps:.4f},"loss":{loss:.6f},"lr":0.0002,"grad_norm":0.81234,"tokens":{n * 2048},'
                f'"seconds":0.4,"mem":700000000,"tokens_per_second":5012.3}}\n'
            )
    return run


def attach(folder: Path) -> None:
    """A run of a million steps: the first picture, the exact one, and keys in between."""
    run = write_long(folder, 1_000_000)
    with opened(run) as terminal:
        start = time.perf_counter()
        terminal.wait_for("long")
        first_paint = time.perf_counter() - start
        terminal.wait_for("some of the steps")
        picture, cpu = time.perf_counter() - start, terminal.cpu_seconds()
        times = key_times(terminal, 8, terminal.read)
        terminal.wait_for("smoothed", 120)
        exact, total_cpu = time.perf_counter() - start, terminal.cpu_seconds()
    say("attach to 1,000,000 steps", first_paint_ms=round(1000 * first_paint), picture_ms=round(1000 * picture),
        picture_cpu_ms=round(1000 * cpu), exact_s=round(exact, 1), exact_cpu_s=round(total_cpu, 1),
        key_ms=[round(percentile(times, share)) for share in (0.5, 0.95)])  # fmt: skip


def slow(folder: Path) -> None:
    """A line of 10 kB/s with a live run behind it."""
    run, _ = runs.running(folder, 2_000, 100_000, "slow")
    writer = Writer(run, 10, 2_000, 100_000)
    with opened(run) as terminal:
        terminal.wait_for("smoothed")
        terminal.read_for(3)
        writer.start()
        budget = {"left": 0.0, "since": time.perf_counter()}

        def throttled(seconds: float) -> None:
            """Take at most 10 kB a second from the pty, in pieces as a line would deliver them."""
            time.sleep(seconds)
            now = time.perf_counter()
            budget["left"] = min(1_000.0, budget["left"] + 10_000 * (now - budget["since"]))
            budget["since"] = now
            if budget["left"] >= 100:
                data = b""
                if terminal.waiting():
                    data = os.read(terminal.descriptor, int(budget["left"]))
                    terminal.output.append((now, data))
                budget["left"] -= len(data)

        times = key_times(terminal, 12, throttled)
        writer.stop()
    say("10 kB/s line", key_ms=[round(percentile(times, share)) for share in (0.5, 0.95)],
        longest_write_ms=round(1000 * writer.longest_write, 1))  # fmt: skip


def stall(folder: Path) -> None:
    """A line that stands still for three seconds: how old is what comes afterwards, and did the engine wait."""
    run, _ = runs.running(folder, 2_000, 100_000, "stall")
    writer = Writer(run, 200, 2_000, 100_000)
    with opened(run) as terminal:
        terminal.wait_for("smoothed")
        writer.start()
        terminal.read_for(2)
        time.sleep(3)
        resumed, size = time.perf_counter(), len(terminal.raw())
        terminal.wait_until(lambda text: writer.step - _step(text) < 200, "a step of the last second", 20)
        caught_up, stale = time.perf_counter() - resumed, len(terminal.raw()) - size
        writer.stop()
    say("stall of 3 s at 200 events/s", fresh_after_ms=round(1000 * caught_up), bytes_until_fresh=stale,
        longest_write_ms=round(1000 * writer.longest_write, 1))  # fmt: skip


def _step(text: str) -> int:
    words = text.partition("step ")[2].split(" ")[0].replace(",", "")
    return int(words) if words.isdigit() else 0


def main() -> None:
    cases = {case.__name__: case for case in (steady, burst, attach, slow, stall)}
    for name in sys.argv[1:] or list(cases):
        with tempfile.TemporaryDirectory() as folder:
            cases[name](Path(folder))
    say("load of the machine", load=[round(value, 1) for value in os.getloadavg()])


if __name__ == "__main__":
    main()
