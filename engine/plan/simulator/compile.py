"""Compile the simulator into tables that plain Python evaluates in a fraction of a millisecond.

    python -m engine.plan.simulator.compile [--missing] [FAMILY ...]

For each family, method and way of computing, probes of two, three and four layers are followed; a moment is kept when
all three agree on the operation and its live bytes are linear in the number of layers. Of the moments only those are
written that are needed to come within 0.02 % of the largest for models of realistic sizes. Result:
assets/plan/FAMILY.json. With --missing, what a file from the same versions of the packages already has is kept.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.plan.adapters import ALL_LINEAR, TARGET_GROUPS
from engine.plan.memory import TrainingShape
from engine.plan.simulator.request import Simulation
from engine.plan.simulator.structures import STRUCTURES, Structure, probe_config
from engine.plan.simulator.symbolic import Live, SymbolicTracker
from engine.plan.simulator.symbols import Probe, make_probe
from engine.plan.table import TABLE_DIRECTORY, monomial, table_key, values_of

LAYERS = (2, 3, 4)
PRECISIONS = (("cuda", "bf16"), ("cpu", "fp32"))
PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes")
SAMPLES = 3000
ENOUGH = 0.9998  # a moment this near to the largest stands for it
Moment = tuple[str, Live, Live]
"""Phase, live set at two layers, and what each further layer adds."""


@dataclass(frozen=True)
class Variant:
    """One table: how a family computes."""

    method: str
    tied: bool
    device: str
    precision: str
    checkpointing: bool
    masked: bool
    targets: str = ""
    chunked_loss: bool = True

    @property
    def key(self) -> str:
        return table_key(
            self.method, self.tied, self.device, self.precision, self.checkpointing, self.masked, self.targets,
            self.chunked_loss,
        )  # fmt: skip


def variants(structure: Structure) -> Iterator[Variant]:
    """All variants of a structure that are compiled."""
    for place, (device, precision) in enumerate(structure.precisions or PRECISIONS):
        for checkpointing, masked in itertools.product((True, False), (False, True)):
            for tied in structure.ties:
                yield Variant("full", tied, device, precision, checkpointing, masked)
            for method in ("lora", "qlora"):
                usual = Variant(method, structure.ties[0], device, precision, checkpointing, masked)
                yield usual
                for targets in structure.target_groups if place == 0 else ():
                    yield replace(usual, targets=targets)
                if structure.whole_logits and place == 0:
                    yield replace(usual, chunked_loss=False)


def follow_probe(structure: Structure, variant: Variant, probe: Probe, layers: int) -> SymbolicTracker:
    """One step of a probe under the symbolic tracker."""
    from engine.plan.simulator.step import follow

    shape = TrainingShape(
        variant.method, probe.batch, probe.length, probe.rank, variant.checkpointing, "adamw_torch_fused",
        variant.precision, 1, TARGET_GROUPS.get(variant.targets, (ALL_LINEAR,)), variant.chunked_loss,
    )  # fmt: skip
    request = Simulation(
        probe_config(structure, probe, layers, variant.tied), shape,
        device="cpu" if variant.device == "cpu" else "cuda", attention=structure.attention, padded=variant.masked,
        capability=(8, 0) if variant.precision != "fp16" else (7, 5),
    )  # fmt: skip
    tracker = SymbolicTracker(request, probe)
    follow(request, tracker)
    return tracker


def moments_of(structure: Structure, variant: Variant) -> list[Moment]:
    """The distinct moments of a variant on which the three probes agree."""
    sizes = (structure.grouped, structure.square, structure.rotary_share, structure.experts, structure.single)
    probe = make_probe(variant.masked, *sizes)
    runs = [follow_probe(structure, variant, probe, layers).moments for layers in LAYERS]
    found: dict[Any, Moment] = {}
    for phase in ("forward", "backward"):
        a, b, c = (run[phase] for run in runs)
        for index in range(len(a)):
            for place in (index, -1 - index):
                moment = _linear(phase, a[place], b[place], c[place])
                if moment is not None:
                    key = (phase, tuple(sorted(moment[1].items())), tuple(sorted(moment[2].items())))
                    found.setdefault(key, moment)
    return list(found.values())


def _linear(phase: str, first: tuple[str, Live], second: tuple[str, Live], third: tuple[str, Live]) -> Moment | None:
    if not first[0] == second[0] == third[0]:
        return None
    names = set(first[1]) | set(second[1]) | set(third[1])
    slope = {}
    for name in names:
        one, two, three = (live[1].get(name, 0.0) for live in (first, second, third))
        if abs((three - two) - (two - one)) > 1e-6 * max(1.0, abs(two)) or two - one < -1e-9:
            return None
        slope[name] = round(two - one, 6)
    base = {name: round(first[1].get(name, 0.0), 6) for name in names}
    return phase, {k: v for k, v in base.items() if v}, {k: v for k, v in slope.items() if v}


def realistic_sizes(structure: Structure, masked: bool, seed: int = 1) -> list[dict[str, float]]:
    """Sizes of models and batches as they occur, for choosing the moments that matter."""
    draw, found = random.Random(seed), []
    for _ in range(SAMPLES):
        head = draw.choice([8, 16, 32, 64, 80, 96, 128, 256])
        heads = draw.choice([1, 2, 4, 8, 12, 16, 20, 32, 40, 64, 96])
        keys = max(1, heads // draw.choice([2, 3, 4, 5, 7, 8])) if structure.grouped else heads
        keys = 1 if structure.single else keys
        hidden = head * heads if structure.square or draw.random() < 0.7 else draw.choice([64, 896, 2048, 3584, 5120])
        inner = int(hidden * draw.choice([1.0, 2.0, 2.7, 3.5, 4.0, 5.3, 8.0]))
        batch = draw.choice([1, 2, 4, 8, 16, 32]) if masked else 1
        length = int(2 ** draw.uniform(4, 14 if batch < 8 else 11))
        vocab, rotary = draw.choice([512, 1536, 32000, 50304, 128256, 256000]), int(head * structure.rotary_share)
        rank = draw.choice([1, 8, 16, 64, 128])
        mixture = (draw.choice([8, 16, 60, 64, 128]), draw.choice([1, 2, 4, 8]), draw.choice([1, 4]) * inner)
        if structure.experts:
            inner = int(hidden * draw.choice([0.3, 0.5, 0.7, 1.0, 3.5]))
        more = mixture if structure.experts else (0, 0, 0)
        sizes = values_of(hidden, inner, heads, keys, head, rotary, vocab, batch, length, rank, *more)
        found.append(sizes | {"L": float(draw.choice([1, 2, 4, 5, 12, 16, 24, 32, 48, 80]))})
    return found


def choose(structure: Structure, variant: Variant, moments: list[Moment]) -> list[Moment]:
    """The fewest moments of which one is, for all sizes tried, within ENOUGH of the largest of all moments.

    Tried with the gradients as they are at each moment, and with all of them alive (which are then counted elsewhere).
    """
    import numpy

    names = sorted({name for _, base, slope in moments for name in (*base, *slope)})
    place = {name: index for index, name in enumerate(names)}
    bases, slopes = (numpy.zeros((len(moments), len(names))) for _ in range(2))
    for row, (_, base, slope) in enumerate(moments):
        bases[row, [place[name] for name in base]] = list(base.values())
        slopes[row, [place[name] for name in slope]] = list(slope.values())
    accumulated = numpy.array([part != "gradients" for part, _ in names], dtype=float)
    rows = []
    for sizes in realistic_sizes(structure, variant.masked):
        values = numpy.array([monomial(name, sizes) for _, name in names])
        for weights in (values, values * accumulated):
            rows.append(bases @ weights + (sizes["L"] - LAYERS[0]) * (slopes @ weights))
    totals = numpy.array(rows)
    good = totals >= ENOUGH * totals.max(axis=1, keepdims=True)
    chosen: list[int] = []
    while good.any():  # always the moment that serves most of the sizes which none serves yet
        best = int(good.sum(axis=0).argmax())
        chosen.append(best)
        good = good[~good[:, best]]
    return [moments[index] for index in sorted(chosen)]


def compile_structure(structure: Structure, known: dict[str, Any], say: Any = print) -> dict[str, Any]:
    """All tables of a structure, in the form that is written; those in `known` are kept as they are."""
    names = {name: index for index, name in enumerate(known.get("monomials", ()))}
    tables: dict[str, Any] = dict(known.get("tables", {}))
    for variant in variants(structure):
        if variant.key in tables:
            continue
        started = time.process_time()
        try:
            moments = moments_of(structure, variant)
        except Exception as error:  # a variant that this stack cannot run has no table
            say(f"{structure.name} {variant.key}: not compiled: {type(error).__name__}: {str(error)[:200]}")
            continue
        chosen = choose(structure, variant, moments)
        tables[variant.key] = [_written(moment, names) for moment in chosen]
        spent = time.process_time() - started
        say(f"{structure.name} {variant.key}: {len(moments)} moments, {len(chosen)} kept, {spent:.1f} s")
    return {"versions": versions(), "monomials": list(names), "tables": tables}


def versions() -> dict[str, str]:
    """The packages that decide what a step does."""
    return {name: version(name) for name in PACKAGES}


def _known(file: Path) -> dict[str, Any]:
    """The tables that are there, unless other versions made them."""
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return document if document.get("versions") == versions() else {}


def _written(moment: Moment, names: dict[str, int]) -> list[Any]:
    phase, base, slope = moment
    parts: dict[str, list[list[float]]] = {}
    for part, name in sorted(set(base) | set(slope)):
        row = [names.setdefault(name, len(names)), base.get((part, name), 0.0), slope.get((part, name), 0.0)]
        parts.setdefault(part, []).append([_short(value) for value in row])
    return [phase, parts]


def _short(value: float) -> float:
    return int(value) if value == int(value) else round(value, 4)


def main(words: list[str]) -> None:
    """Compile the named structures, or all."""
    chosen = [word for word in words if word != "--missing"]
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "BITSANDBYTES_NOWELCOME": "1"}
    directory = Path(str(TABLE_DIRECTORY))
    directory.mkdir(parents=True, exist_ok=True)
    for structure in STRUCTURES:
        if chosen and structure.name not in chosen and structure.model_type not in chosen:
            continue
        file = directory / f"{structure.name}.json"
        known = _known(file) if "--missing" in words else {}
        document = compile_structure(structure, known, lambda text: print(text, flush=True))
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
        temporary.replace(file)


if __name__ == "__main__":
    main(sys.argv[1:])
