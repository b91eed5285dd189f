"""The long tier: `python -m tests.chaos [--out FILE] [--kills N] [--stock N] [--parts kills,saves,...]`.

Writes one Markdown table for each part as soon as it is done. All of it takes some hours on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1",
                  HF_DATASETS_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false")  # fmt: skip

from tests.chaos import clock, damage, kills, loop_disk, resuming, shim
from tests.chaos.rig import Workshop, carry_in_child

SLICE = 10
"""Kills between two lines of the table, so that a run that is cut short has figures."""


def kill_tables(workshop: Workshop, out: TextIO, options: argparse.Namespace) -> None:
    """Kill ours and stock TRL in turns: two thirds aimed at saves, one third at any moment.

    Every kind has its turn in every round, so that a run that is cut short has figures for all of them.
    """
    print(f"### kill -9\n\n{kills.HEADER}", file=out, flush=True)
    kinds = [(method, aimed, share) for method in ("lora", "full") for aimed, share in ((True, 3), (False, 6))]
    for begin in range(0, max(options.kills, options.stock) // 3, SLICE):
        for method, aimed, share in kinds:
            for kill, total in ((kills.kill_ours, options.kills), (kills.kill_stock, options.stock)):
                count = min(SLICE, total // share - begin)
                if count > 0:
                    tally = kill(workshop, method, count, aimed, options.seed + begin)
                    print(tally.line(), file=out, flush=True)


def save_tables(workshop: Workshop, out: TextIO, options: argparse.Namespace) -> None:
    """Every file operation, two hundred byte positions, every error, every power cut, for full and LoRA."""
    report = shim.bench_saves(workshop.root / "saves", options.stride, ["lora", "full"])
    print("### One save\n\n| method | test | outcomes |\n|---|---|---|", file=out)
    for method, parts in report.items():
        print(f"| {method} | size | {parts['operations']} file operations, {parts['bytes']} bytes |", file=out)
        for name in ("kill", "no room", "one error", "power", "power, no fsync"):
            found = parts[name]["outcomes"] if name == "kill" else parts[name]
            print(f"| {method} | {name} | {_counts(found)} |", file=out, flush=True)


def damage_tables(workshop: Workshop, out: TextIO, options: argparse.Namespace) -> None:
    print("### Damaged checkpoints\n\n| method | outcomes |\n|---|---|", file=out)
    for method in ("lora", "full"):
        run = workshop.run(f"damage-{method}", method__name=method, checkpoints__keep=9)
        assert carry_in_child(run).wait() == 0
        found = damage.matrix(run.checkpoints_dir, 9, 12, workshop.root / "damage")
        print(f"| {method} | {_counts(found)} |", file=out, flush=True)


def clock_tables(workshop: Workshop, out: TextIO, options: argparse.Namespace) -> None:
    print("### Clock\n\n| jump in the middle of a run | outcome |\n|---|---|", file=out)
    for name in clock.JUMPS:
        print(f"| {name} | {clock.verdict(*clock.jump(workshop, name))} |", file=out, flush=True)


def resume_tables(workshop: Workshop, out: TextIO, options: argparse.Namespace) -> None:
    print("### Resuming from every step\n\n| configuration | steps | not identical |\n|---|---|---|", file=out)
    for number, name in enumerate(resuming.CONFIGURATIONS):
        steps, differs = resuming.from_every_step(workshop, name, number)
        print(f"| {name} | {steps} | {differs or 'none'} |", file=out, flush=True)


def power_tables(workshop: Workshop, out: TextIO, options: argparse.Namespace) -> None:
    print("### Power cuts on an ext4 image\n\n| method | outcomes |\n|---|---|", file=out)
    for method in ("lora", "full") if loop_disk.available() else ():
        print(f"| {method} | {_counts(loop_disk.cut_power(workshop, method, 24))} |", file=out, flush=True)


PARTS: dict[str, Callable[[Workshop, TextIO, argparse.Namespace], None]] = {
    "damage": damage_tables, "clock": clock_tables, "resume": resume_tables, "saves": save_tables,
    "power": power_tables, "kills": kill_tables,
}  # fmt: skip


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items(), key=lambda pair: -pair[1]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--out", type=Path, help="file to append the tables to (default: standard output)")
    parser.add_argument("--kills", type=int, default=300, help="kills of our engine")
    parser.add_argument("--stock", type=int, default=90, help="kills of stock TRL")
    parser.add_argument("--seed", type=int, default=1000, help="of the moments at which is killed")
    parser.add_argument("--stride", type=int, default=1, help="every which case of a save is done")
    parser.add_argument("--parts", default=",".join(PARTS))
    options = parser.parse_args()
    out = options.out.open("a") if options.out else sys.stdout
    import engine.train.phases  # noqa: F401  (imported once here, so that forked children have it)

    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        workshop = Workshop.build(Path(folder))
        print(f"## Chaos, {time.strftime('%Y-%m-%d %H:%M')}, {platform.platform()}\n", file=out, flush=True)
        for name in options.parts.split(","):
            started = time.monotonic()
            PARTS[name](workshop, out, options)
            print(f"\n({name}: {time.monotonic() - started:.0f} s)\n", file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
