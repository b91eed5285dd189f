"""Step 1: what is here, and which of the documented tiers it meets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UserError
from tui.answers import Answers
from tui.steps.base import Question, Step
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem
from tui.steps.words import METHOD_TITLES, count, gigabytes

if TYPE_CHECKING:
    from engine.machine.detect import Machine
    from engine.machine.tiers import TierCheck

THIS = "this"
NO_GPU = (
    "No GPU was found. That is fine for a first look: the demo and models of up to about half a billion parameters "
    "train on the processor, more slowly. For larger models you can plan here, pretend a GPU, and train elsewhere."
)
HELP = """\
Training happens on a GPU where there is one. Three amounts decide what fits: the memory of the GPU, the memory of the \
machine (RAM), and free disk for the model, its checkpoints and the result.

The tiers are the amounts that the documentation of this field names for a model of 7 billion parameters. They are a \
first guide. The Method page computes the need of your own model and data.

Choose "Pretend another GPU" to plan for a machine that you do not have yet."""


@dataclass(frozen=True)
class HardwareLine:
    """One line about the machine: `label` and what is there."""

    label: str
    text: str


def hardware(machine: Machine) -> list[HardwareLine]:
    """What is here, one line each."""
    host = machine.host
    lines = [HardwareLine("GPU" if len(machine.gpus) == 1 else f"GPU {gpu.index}", _gpu(gpu)) for gpu in machine.gpus]
    if not machine.gpus:
        lines.append(HardwareLine("GPU", "none found"))
    cores = f"{host.cpu_count:g} core" + ("" if host.cpu_count == 1 else "s")
    ram = f"{gigabytes(host.ram_available_bytes)} free of {gigabytes(host.ram_total_bytes)}, {cores}"
    lines.append(HardwareLine("RAM", ram))
    lines.append(HardwareLine("Disk", f"{gigabytes(host.disk_free_bytes)} free at {host.disk_path}"))
    lines.extend(HardwareLine("Limit", limit) for limit in host.limits)
    return lines


def _gpu(gpu: object) -> str:
    name, free, total = (getattr(gpu, key) for key in ("name", "free_bytes", "total_bytes"))
    precision = "bf16" if getattr(gpu, "supports_bf16", False) else "fp16, no bf16"
    return f"{name}, {gigabytes(free).split()[0]} of {gigabytes(total)} free, {precision}"


def tiers(machine: Machine) -> list[TierCheck]:
    """The documented tiers against this machine."""
    from engine.machine.tiers import check_tier, load_tiers

    return [check_tier(tier, machine) for tier in load_tiers()]


def tier_title(check: TierCheck) -> str:
    """`Minimum: QLoRA, 7.0 billion parameters`."""
    tier = check.tier
    method = METHOD_TITLES.get(tier.method, tier.method)
    return f"{tier.name}: {method}, {count(tier.model_parameters)} parameters"


def notes(machine: Machine) -> list[str]:
    """Sentences for the person; kind where there is no GPU."""
    found = list(machine.notes)
    if machine.best_gpu is None:
        found = [note for note in found if "no NVIDIA card was found" not in note]
        found.insert(0, NO_GPU)
    return found


PRETENDED = ("pretend.vram_gb", "pretend.ram_gb", "pretend.gpus")
PATTERN = re.compile(
    r"(?:(?P<count>\d{1,3})\s*x\s*)?(?P<vram>\d{1,6}(?:\.\d+)?)"  # `24` or `2x24`
    r"(?:[\s,/+]+(?P<ram>\d{1,7}(?:\.\d+)?))?"  # ` 64`
)


def options(answers: Answers, facts: Facts) -> list[Option]:
    """Plan for this machine, or for another."""
    pretending = answers.text("pretend.vram_gb") or answers.text("pretend.ram_gb")
    here = Option(THIS, "Plan for this machine", "The run starts here.", recommended=not pretending)
    sizes = [
        ("8", "An entry card: QLoRA on models of about 7 billion parameters."),
        ("16", "A common cloud card: QLoRA with long texts."),
        ("24", "A large desktop card: LoRA on 7 billion parameters."),
        ("48", "A workstation card."),
        ("80", "A data centre card: full fine-tuning of mid-size models."),
    ]
    others = [
        Option(size, f"Pretend a GPU with {size} GB", text, "chosen" if answers.text("pretend.vram_gb") == size else "")
        for size, text in sizes
    ]
    return [here, *others]


def apply(answers: Answers, facts: Facts, text: str) -> None:
    """Take "this" machine, or one to pretend: `24`, with its RAM `24 64`, or with several GPUs `2x24 64`, in GB."""
    wanted = text.strip().lower()
    if wanted in ("", THIS):
        for key in PRETENDED:
            answers.drop(key)
        return
    found = PATTERN.fullmatch(wanted.replace("gb", "").strip())
    if found is None:
        fix = "Give GB, such as 24; 24 64 adds the RAM, 2x24 means two such GPUs."
        raise UserError(f"{text!r} is not an amount of memory.", "GPU to pretend", fix)
    count, vram, ram = found["count"] or "1", float(found["vram"]), found["ram"] or ""
    if not 0 <= vram <= 10_000 or (ram and not 1 <= float(ram) <= 100_000) or not 1 <= int(count) <= 64:
        fix = "A GPU has between 0 (none) and 10000 GB, a machine at least 1 GB of RAM and up to 64 GPUs."
        raise UserError(f"{text!r} is no machine.", "GPU to pretend", fix)
    for key, value in zip(PRETENDED, (f"{vram:g}", ram, count if count != "1" else ""), strict=True):
        if value:
            answers.put(key, value, "you", "pretended, to plan before renting or buying")
        else:
            answers.drop(key)


def validate(answers: Answers, facts: Facts) -> list[Problem]:
    """A pretended machine can plan and save, and cannot train."""
    if answers.text("pretend.vram_gb") or answers.text("pretend.ram_gb"):
        what = "You are planning for a pretended machine, so the run cannot start here."
        return [Problem(what, "Machine", "Save the recipe and start it on the real machine, or plan for this machine.")]
    return []


def summary(answers: Answers, facts: Facts) -> str:
    """One line for the review."""
    machine = facts.machine.value
    if machine is None:
        return "not looked at yet"
    gpu = machine.best_gpu
    name = f"{gpu.name}, {gigabytes(gpu.free_bytes)} free" if gpu else "processor only"
    return f"{name}; {gigabytes(machine.host.disk_free_bytes)} of disk free"


STEP = Step(
    name="machine",
    title="Machine",
    question="This is what your machine offers.",
    help=HELP,
    questions=(Question("pretend.vram_gb", "Which machine do you plan for?", options, apply,
                        free="Another amount of GPU memory in GB, and after a blank of RAM"),),
    validate=validate,
    summary=summary,
    later=("method", "settings"),
    keys=PRETENDED,
)  # fmt: skip
