"""How soon the first rows are there: from the start of the data job's process, and from a request in a warm one.

    python tests/bench/data_early.py [megabytes] [folder]

Wall milliseconds, median and worst of seven, on files that this script writes; beside them the CPU milliseconds that
the process had used when the first rows came (its imports included), which other work on the machine changes little.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.data_reading import write_files  # noqa: E402

TIMES = 7


def from_start(path: Path) -> tuple[float, float]:
    """Wall and CPU milliseconds from the start of a job's process to its first rows."""
    import psutil

    begin = time.perf_counter()
    command = [sys.executable, "-P", "-m", "engine", "job", "data"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(json.dumps({"source": str(path)}).encode() + b"\n")
    child.stdin.flush()
    first = json.loads(child.stdout.readline())
    wall = time.perf_counter() - begin
    used = psutil.Process(child.pid).cpu_times()
    child.kill()
    child.wait()
    assert first["early"]["previews"], first
    return wall * 1000, (used.user + used.system) * 1000


class _Enough(Exception):
    """The first rows are there."""


def warm(path: Path) -> float:
    """Wall milliseconds from a request to the first rows where everything is imported."""
    from engine.data.inspect import _not_recognised
    from engine.data.rows import ReadOptions

    def emit(message: dict[str, Any]) -> None:
        raise _Enough

    begin = time.perf_counter()
    request = {"source": str(path)}
    try:
        _not_recognised(str(path), request, ReadOptions.from_request(request), emit)
    except _Enough:
        return (time.perf_counter() - begin) * 1000
    raise AssertionError("no first rows came")


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print("| file | from process start, ms (worst) | CPU ms of it | warm, ms (worst) |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as place:
        for size in (1, megabytes):
            for path in write_files(Path(place), size):
                cold = [from_start(path) for _ in range(TIMES)]
                walls, cpus = zip(*cold, strict=True)
                ready = [warm(path) for _ in range(TIMES)]
                name = f"{path.name} {path.stat().st_size / 1e6:.0f} MB"
                shown = f"{statistics.median(walls):.0f} ({max(walls):.0f}) | {statistics.median(cpus):.0f}"
                print(f"| {name} | {shown} | {statistics.median(ready):.1f} ({max(ready):.1f}) |", flush=True)


if __name__ == "__main__":
    main()
