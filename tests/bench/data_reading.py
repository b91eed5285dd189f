"""Reading speed and memory of engine.data beside datasets.load_dataset, on files that this script writes.

    python tests/bench/data_reading.py [megabytes] [folder] [jsonl|json|csv]

Every measurement runs in a process of its own. CPU seconds are user and system time of the process after its imports,
memory is its peak resident size. `datasets` reads into an Arrow cache in the same folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

ROW = {
    "instruction": "Extract the booking details as JSON. The guest was asked for: people.",
    "input": 'There will be 5 adults and 1 child, "maybe" more: see you at 10:30.\n' * 3,
    "output": json.dumps({"people": "5 adults and 1 child", "time": "10:30"}),
}

OURS = """
import itertools
from pathlib import Path
from engine.data.read import read_rows
start = time.process_time()
first = time.perf_counter()
next(iter(read_rows(Path(sys.argv[1]))))
first = time.perf_counter() - first
rows = sum(1 for _ in read_rows(Path(sys.argv[1])))
"""
EXAMPLES = """
from engine.data.dataset import load_dataset
start, first = time.process_time(), 0
rows = load_dataset(sys.argv[1], keep=100_000).rows
"""
JOB = """
from engine.data.inspect import inspect_data
start, first = time.process_time(), 0
rows = inspect_data({"source": sys.argv[1]})["rows"]
"""
THEIRS = """
import datasets
datasets.disable_progress_bars()
start, first = time.process_time(), 0
kind = {"jsonl": "json", "json": "json", "csv": "csv"}[sys.argv[1].rsplit(".", 1)[1]]
rows = len(datasets.load_dataset(kind, data_files=sys.argv[1], split="train", cache_dir=sys.argv[2]))
"""
HEAD = "import json, resource, sys, time\n"
TAIL = """
print(json.dumps({"rows": rows, "cpu": time.process_time() - start, "first": first,
                  "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def write_files(folder: Path, megabytes: int, only: str = "") -> list[Path]:
    """A JSON lines file, a JSON array and a CSV file of about the given size, or `only` one of them."""
    import csv

    line = json.dumps(ROW)
    count = megabytes * 1_000_000 // len(line)
    lines, array, table = folder / "rows.jsonl", folder / "rows.json", folder / "rows.csv"
    wanted = [path for path in (lines, array, table) if only in ("", path.suffix[1:])]
    if lines in wanted:
        with lines.open("w") as stream:
            stream.writelines(line + "\n" for _ in range(count))
    if array in wanted:
        with array.open("w") as stream:
            stream.write("[\n" + line)
            stream.writelines(",\n" + line for _ in range(count - 1))
            stream.write("\n]\n")
    if table in wanted:
        with table.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(ROW)
            writer.writerows(ROW.values() for _ in range(count))
    return wanted


def measure(program: str, path: Path, cache: Path) -> dict[str, float]:
    """Run one program in its own process."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + program + TAIL, str(path), str(cache)], capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


READERS = (("read_rows", OURS), ("rows to examples", EXAMPLES), ("whole data job", JOB), ("datasets", THEIRS))


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as place:
        folder = Path(place)
        print(
            "| file | reader | rows | CPU s | MB/s per core | first row ms | peak MB |\n|---|---|---|---|---|---|---|"
        )
        only = sys.argv[3] if len(sys.argv) > 3 else ""
        for path in write_files(folder, megabytes, only):
            size = path.stat().st_size / 1e6
            name = f"{path.name} {size:.0f} MB"
            for reader, program in READERS:
                got = measure(program, path, folder / "cache")
                first = f"{got['first'] * 1000:.1f}" if got["first"] else ""
                peak = f"{got['peak']:.0f}"
                speed = f"{got['cpu']:.2f} | {size / got['cpu']:.0f}"
                print(f"| {name} | {reader} | {got['rows']} | {speed} | {first} | {peak} |")


if __name__ == "__main__":
    main()
