"""What the answers so far lead to: memory by part, time, disk, rows that are cut. Shown beside every page."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.steps.facts import Facts
from tui.steps.looking import data_summary
from tui.steps.method import need_bytes
from tui.steps.method import validate as check_method
from tui.steps.option import Problem

SMALLEST_PART_BYTES = 512 * 1024
"""Smaller terms would read as 0 MiB."""


@dataclass(frozen=True)
class Part:
    """One term of the memory sum."""

    name: str
    size_bytes: int


@dataclass(frozen=True)
class Consequences:
    """What a run with these answers needs. `kind` says how memory was found and how surely; `host_bytes` is 0 where
    `total_bytes` already is RAM."""

    method: str
    kind: str
    parts: tuple[Part, ...]
    total_bytes: int
    free_bytes: int
    device: str
    fits: bool
    host_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    seconds: float
    steps: int
    rows: int
    rows_cut: int | None
    trained_tokens: int
    problem: Problem | None


def consequences(answers: Answers, facts: Facts) -> Consequences | None:
    """The consequences of the method in force; None before machine and model are known."""
    name = facts.method(answers)
    plan, machine = facts.method_plan(name), facts.machine.value
    if plan is None or machine is None:
        return None
    gpu = machine.best_gpu
    data = facts.data.value or {}
    found = check_method(answers, facts)
    need = need_bytes(plan, facts)
    sizes = {**plan.memory.parts, "program": max(0, need - plan.memory.total_bytes)}
    parts = sorted(sizes.items(), key=lambda item: -item[1])
    return Consequences(
        method=name,
        kind=plan.memory.certainty,
        parts=tuple(Part(part, size) for part, size in parts if size >= SMALLEST_PART_BYTES),
        total_bytes=need,
        free_bytes=gpu.free_bytes if gpu else machine.host.ram_available_bytes,
        device="GPU memory" if gpu else "RAM, no GPU",
        fits=plan.fits,
        host_bytes=plan.host_memory_bytes if gpu else 0,
        disk_bytes=plan.disk_bytes,
        disk_free_bytes=machine.host.disk_free_bytes,
        seconds=plan.seconds,
        steps=_steps(answers, facts),
        rows=int(data.get("rows", 0)),
        rows_cut=rows_cut(answers, facts),
        trained_tokens=int((data.get("lengths") or {}).get("trained_tokens", 0)),
        problem=found[0] if found else None,
    )


def _number(answers: Answers, facts: Facts, key: str) -> float:
    answer = facts.settings(answers).get(key)
    value = KEYS[key].default if answer is None else answer.value
    return float(value) if isinstance(value, int | float) else 0.0


def _steps(answers: Answers, facts: Facts) -> int:
    """Optimizer steps of the whole run; 0 while the rows are unknown."""
    rows = _learned_rows(answers, facts)
    limit = _number(answers, facts, "training.max_steps")
    batch = _number(answers, facts, "training.micro_batch_size") * _number(
        answers, facts, "training.gradient_accumulation_steps"
    )
    if rows <= 0 or batch <= 0:
        return 0
    steps = ceil(ceil(rows / batch) * _number(answers, facts, "training.epochs"))
    return int(min(steps, limit)) if limit else steps


def _learned_rows(answers: Answers, facts: Facts) -> float:
    """Rows of a pass without those held out; of raw text its pieces, about."""
    rows = int((facts.data.value or {}).get("rows", 0))
    held_out = _number(answers, facts, "evaluation.held_out_rows")
    summary = data_summary(facts.data.value)
    if summary is None or not rows:
        return rows - held_out
    from engine.plan.data_facts import learned_rows

    return (rows - held_out) * learned_rows(summary, int(_number(answers, facts, "training.sequence_length"))) / rows


def rows_cut(answers: Answers, facts: Facts) -> int | None:
    """Rows that may be longer than the sequence length, at most; None while their lengths are unknown. Raw text is
    split, so nothing of it is cut."""
    lengths = (facts.data.value or {}).get("lengths") or {}
    if not lengths:
        return None
    if (facts.data.value or {}).get("format") == "text":
        return 0
    limit = _number(answers, facts, "training.sequence_length")
    if lengths.get("longest", 0) <= limit:
        return 0
    for cut in lengths.get("cut_at", ()):
        if cut["length"] == limit:
            return int(cut["rows"])
    return sum(int(rows) for _, to, rows in lengths.get("histogram", ()) if to > limit + 1)
