"""Compare the closed form with the simulator over published model configs.

    python tests/bench/closed_form.py FOLDER [--share I/N] [--seed S]

FOLDER holds one folder per model with a config.json. For every dense model that is counted exactly, each method is
simulated once at a length, micro-batch, checkpointing, accumulation and optimizer drawn at random. Prints a table per
family and the worst cases; needs the training packages, no GPU, no weights.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "BITSANDBYTES_NOWELCOME": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.errors import UserError
from engine.models.spec import ModelSpec, spec_from_config
from engine.plan.memory import TrainingShape, estimate_memory, needs_mask
from engine.plan.simulate import run
from engine.plan.simulator.request import Simulation

LARGEST = 110e9  # larger models take minutes to follow
OPTIMIZERS = ("adamw_torch_fused", "adamw_torch", "adamw_8bit", "paged_adamw_8bit")


def draw_shape(spec: ModelSpec, method: str, draw: random.Random) -> TrainingShape:
    """A shape at random, within the model's context."""
    rows, length = draw.choice([(1, 512), (1, 2048), (1, 4096), (2, 1024), (4, 2048), (8, 256)])
    optimizer = draw.choice(OPTIMIZERS if method != "qlora" else OPTIMIZERS[:1] + OPTIMIZERS[2:])
    return TrainingShape(
        method, rows, min(length, spec.context_length), draw.choice([8, 16, 64]), draw.random() < 0.6, optimizer,
        "bf16", draw.choice([1, 8]),
    )  # fmt: skip


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", default="0/1")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    index, count = (int(part) for part in arguments.share.split("/"))
    draw, errors, spent = random.Random(arguments.seed + index), defaultdict(list), []
    for number, file in enumerate(sorted(arguments.folder.glob("*/config.json"))):
        config = json.loads(file.read_text(encoding="utf-8"))
        try:
            spec = spec_from_config(config, file.parent.name)
        except UserError:
            continue
        if number % count != index or spec.experts or spec.parameters > LARGEST or not spec.exact:
            continue
        for method in ("full", "lora", "qlora"):
            shape = draw_shape(spec, method, draw)
            started = time.perf_counter()
            memory = estimate_memory(spec, shape)
            spent.append(time.perf_counter() - started)
            try:
                found = run(Simulation(config, shape, padded=needs_mask(spec, shape)))
            except UserError as error:
                print(f"{file.parent.name} {method}: {error.what[:160]}", flush=True)
                continue
            error = memory.allocated_bytes / found.live_bytes - 1
            kind = spec.model_type if memory.exact else f"{spec.model_type} (formula)"
            errors[kind].append(error)
            mark = "  <-- above 0.5 %" if abs(error) > 0.005 else ""
            kept = "checkpointing" if shape.gradient_checkpointing else "keeping"
            rows = f"{shape.micro_batch_size}x{shape.sequence_length} r{shape.rank} {kept} x{shape.accumulation}"
            size = found.live_bytes / 2**30
            print(f"{file.parent.name} {method} {rows} {shape.optimizer} {size:.3f} GiB {error:+.3%}{mark}", flush=True)
    print("\n| family | cases | mean error | largest |\n|---|---|---|---|")
    for kind, found_errors in sorted(errors.items()):
        mean, worst = statistics.mean(map(abs, found_errors)), max(found_errors, key=abs)
        print(f"| {kind} | {len(found_errors)} | {mean:.3%} | {worst:+.3%} |")
    everything = [error for found_errors in errors.values() for error in found_errors]
    mean = statistics.mean(map(abs, everything))
    print(f"\n{len(everything)} cases, mean {mean:.3%}, {statistics.median(spent) * 1e3:.2f} ms each")


if __name__ == "__main__":
    main()
