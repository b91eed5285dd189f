"""Compare the closed form with the simulator over published model configs.

    python tests/bench/closed_form.py FOLDER [--minutes M] [--seed S] [--deepest L] [--precision P] [--which dense]

FOLDER holds one folder per model with a config.json. The grid: every distinct model that is counted, times full, LoRA
and QLoRA, 512 and 2048 tokens, checkpointing on and off, 1 and 4 rows. Every model gets its cases in a random order and
the models take turns, so that when the minutes are over each has had about as many. Models deeper than L layers are
followed whole once and cut to L layers in their other cases (both sides). Prints what did not build and why, a table
per family and the worst cases; needs the training packages, no GPU, no weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "BITSANDBYTES_NOWELCOME": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.errors import UserError
from engine.models.find import TRAINABLE_QUANTIZATION
from engine.models.spec import ModelSpec, spec_from_config
from engine.plan.memory import TrainingShape, estimate_memory, needs_mask
from engine.plan.simulate import run
from engine.plan.simulator.request import Simulation

LARGEST = 110e9  # larger models take minutes to follow
LIMIT = 0.005
GRID = tuple(itertools.product(("full", "lora", "qlora"), (512, 2048), (True, False), (1, 4)))
DEPTH_KEYS = ("num_hidden_layers", "n_layer")


@dataclass
class Subject:
    """One model of the grid, and the others that have the same sizes."""

    name: str
    config: dict[str, Any]
    spec: ModelSpec
    cases: list[TrainingShape]
    same: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """What came out: errors by family, seconds of each estimate, cases that could not be followed."""

    errors: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)
    above: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def subjects(folder: Path, draw: random.Random, precision: str) -> tuple[list[Subject], list[str]]:
    """The distinct models below `folder`, and in words which ones are left out."""
    found: dict[Any, Subject] = {}
    left: list[str] = []
    for file in sorted(folder.glob("*/config.json")):
        name = file.parent.name.partition("--")[2] or file.parent.name
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            spec = spec_from_config(config, name)
        except (UserError, ValueError) as error:
            left.append(f"{name}: {error.what if isinstance(error, UserError) else error}")
            continue
        if spec.quantization and spec.quantization not in TRAINABLE_QUANTIZATION:
            left.append(f"{name}: already quantized as {spec.quantization}, which is not trained here")
            continue
        if spec.parameters > LARGEST:
            left.append(f"{name}: more than {LARGEST / 1e9:.0f}B parameters, not followed")
            continue
        key = replace(spec, architecture="", note="", dtype="", parts={}, context_length=0, quantization=None)
        subject = found.setdefault(repr(key), Subject(name, config, spec, list(_cases(spec, draw, precision))))
        if subject.name != name:
            subject.same.append(name)
    return list(found.values()), left


def _cases(spec: ModelSpec, draw: random.Random, precision: str) -> Iterator[TrainingShape]:
    cells = draw.sample(GRID, len(GRID))
    optimizers = itertools.cycle(("adamw_torch_fused", "adamw_8bit", "adamw_torch", "paged_adamw_8bit"))
    for (method, length, checkpointing, rows), optimizer in zip(cells, optimizers, strict=False):
        accumulation, rank = draw.choice((1, 8)), draw.choice((8, 16, 64))
        yield TrainingShape(
            method, rows, min(length, spec.context_length), rank, checkpointing, optimizer, precision, accumulation
        )


def shallow(config: dict[str, Any], layers: int) -> dict[str, Any]:
    """The same model with fewer layers."""
    changed = {name: layers for name in DEPTH_KEYS if name in config}
    kinds = config.get("layer_types")
    return config | changed | ({"layer_types": kinds[:layers]} if isinstance(kinds, list) else {})


def compare(subject: Subject, shape: TrainingShape, layers: int, findings: Findings) -> None:
    """Estimate and simulate one case."""
    config = shallow(subject.config, layers) if layers < subject.spec.layers else subject.config
    spec = spec_from_config(config, subject.name)
    started = time.thread_time()
    memory = estimate_memory(spec, shape)
    findings.seconds.append(time.thread_time() - started)
    capability = (7, 5) if shape.precision == "fp16" else (8, 0)
    kept = "checkpointing" if shape.gradient_checkpointing else "keeping"
    what = (
        f"{subject.name} ({spec.layers} layers) {shape.method} {shape.micro_batch_size}x{shape.sequence_length} "
        f"r{shape.rank} {kept} x{shape.accumulation} {shape.optimizer}"
    )
    try:
        found = run(Simulation(config, shape, padded=needs_mask(spec, shape), capability=capability))
    except UserError as error:
        findings.failed.append(f"{what}: {error.what[:200]}")
        return
    error = memory.allocated_bytes / found.live_bytes - 1
    kind = spec.model_type if memory.exact else f"{spec.model_type} (less certain)"
    findings.errors[kind].append(error)
    line = f"{what}: {found.live_bytes / 2**30:.3f} GiB {error:+.3%} at {found.moment}"
    if abs(error) > LIMIT:
        findings.above.append(line)
    print(line + ("  <-- above 0.5 %" if abs(error) > LIMIT else ""), flush=True)


def report(findings: Findings, models: list[Subject], left: list[str]) -> None:
    """Print the tables."""
    print("\n| family | cases | mean error | largest |\n|---|---|---|---|")
    for kind, errors in sorted(findings.errors.items()):
        print(f"| {kind} | {len(errors)} | {statistics.mean(map(abs, errors)):.3%} | {max(errors, key=abs):+.3%} |")
    dense = [error for kind, errors in findings.errors.items() if "certain" not in kind for error in errors]
    if dense:
        spent = statistics.median(findings.seconds) * 1e3
        print(f"\nwith tables: {len(dense)} cases, mean {statistics.mean(map(abs, dense)):.3%}, ", end="")
        print(f"largest {max(dense, key=abs):+.3%}; an estimate takes {spent:.2f} ms of CPU")
    same = sum(len(model.same) for model in models)
    print(f"{len(models)} distinct models, {same} others of the same sizes; cells of the grid: {len(GRID)} each")
    for title, lines in (("Not followed", left), ("Failed", findings.failed), ("Above 0.5 %", findings.above)):
        print(f"\n{title}: {len(lines)}\n" + "\n".join(lines))


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deepest", type=int, default=1000)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--which", choices=("all", "dense", "mixtures"), default="all")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    models, left = subjects(arguments.folder, random.Random(arguments.seed), arguments.precision)
    if arguments.which != "all":
        models = [model for model in models if bool(model.spec.experts) == (arguments.which == "mixtures")]
    findings, started = Findings(), time.monotonic()
    for turn in range(len(GRID)):
        for model in models:
            if time.monotonic() - started < 60 * arguments.minutes:
                layers = arguments.deepest if turn != 1 else model.spec.layers
                compare(model, model.cases[turn], min(layers, model.spec.layers), findings)
    report(findings, models, left)


if __name__ == "__main__":
    main()
