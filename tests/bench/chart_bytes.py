"""What one redraw of the loss chart costs: CPU of the process and bytes at the terminal, in a real pty.

    python tests/bench/chart_bytes.py [--frames N]

Ten frames a second, one new point in each, band and average, over charts that already hold 100 to 1,000,000 points;
the planned axis is twice as long. The idle cost of the same app is taken off. Medians; the worst frame beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

SIZES = ((80, 24), (120, 40), (200, 60))
POINTS = (100, 10_000, 100_000, 1_000_000)
FRAME_SECONDS = 0.1


def losses(count: int, total: int) -> list[float]:
    """A falling, noisy loss, always the same."""
    numbers = random.Random(7)
    return [0.4 + 2.5 * math.exp(-4 * x / total) + numbers.gauss(0, 0.1) for x in range(count)]


def child(points: int, frames: int, out: Path, redraw: bool) -> None:
    """The app under test: writes (wall-clock start, CPU seconds) of each frame to `out`."""
    from textual.app import App, ComposeResult

    from tui.charts.decimate import Series, Smoother
    from tui.charts.line_chart import LineChart

    class ChartApp(App[None]):
        def compose(self) -> ComposeResult:
            self.chart = LineChart("Loss", unit="steps")
            yield self.chart

        def on_mount(self) -> None:
            self.raw, self.smooth, self.smoother = Series("raw"), Series("smooth"), Smoother(0.98)
            self.chart.add_line(self.raw, "raw", "each step")
            self.chart.add_line(self.smooth, "smooth", "smoothed")
            self.chart.window.planned_end = 2.0 * points
            self.ys = losses(points + frames, 2 * points)
            self.raw.extend(range(points), self.ys[:points])
            self.smooth.extend(range(points), [self.smoother.add(y) for y in self.ys[:points]])
            self.run_worker(self.go())

        async def go(self) -> None:
            self.chart.redraw()
            await asyncio.sleep(1.0)
            costs = []
            for x in range(points, points + frames):
                start, cpu = time.perf_counter(), time.process_time()
                if redraw:
                    self.raw.append(x, self.ys[x])
                    self.smooth.append(x, self.smoother.add(self.ys[x]))
                    self.chart.redraw()
                await asyncio.sleep(FRAME_SECONDS)
                costs.append((start, time.process_time() - cpu))
            out.write_text(json.dumps(costs))
            self.exit()

    ChartApp().run()


def measure(points: int, columns: int, rows: int, frames: int, redraw: bool = True) -> tuple[list[float], list[int]]:
    """CPU milliseconds and bytes of each frame."""
    from tests.terminal import Terminal

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "frames.json"
        command = [sys.executable, __file__, "--child", str(points), "--frames", str(frames), "--out", str(out)]
        with Terminal(command + ([] if redraw else ["--idle"]), columns, rows) as terminal:
            end = time.monotonic() + 60 + frames * FRAME_SECONDS
            while not terminal.ended and time.monotonic() < end:
                terminal.read(0.5)
            costs = json.loads(out.read_text())
            starts = [start for start, _ in costs] + [costs[-1][0] + FRAME_SECONDS]
            sent = [
                sum(len(data) for moment, data in terminal.output if begin <= moment < until)
                for begin, until in zip(starts, starts[1:], strict=False)
            ]
    return [1000 * cpu for _, cpu in costs], sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--idle", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.frames, arguments.out, not arguments.idle)
        return
    print("size      points      CPU ms (worst)   bytes (worst)")
    for columns, rows in SIZES:
        idle = statistics.median(measure(100, columns, rows, arguments.frames, redraw=False)[0])
        for points in POINTS:
            cpu, sent = measure(points, columns, rows, arguments.frames)
            cost, worst = statistics.median(cpu) - idle, max(cpu) - idle
            print(
                f"{columns}x{rows:<5} {points:>9,}   {cost:5.1f} ({worst:5.1f})   "
                f"{statistics.median(sent):6.0f} ({max(sent)})", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
