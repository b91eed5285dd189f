"""What would be needed: the smallest GPU for each method, and the one change that makes a method fit.

Every answer is a plan of its own (about 3 ms each), so nothing here is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.answer import Answer
from tui.answers import Answers
from tui.steps import looking
from tui.steps.facts import Facts, Found
from tui.steps.option import Remedy
from tui.steps.words import METHOD_TITLES, gigabytes

if TYPE_CHECKING:
    from engine.machine.detect import Machine
    from engine.plan.plan import MethodPlan

CARDS = (
    (6, "laptop cards"), (8, "RTX 4060, RTX 3070"), (12, "RTX 3060, RTX 4070"), (16, "RTX 4080, T4"),
    (24, "RTX 3090, RTX 4090, L4, A10"), (32, "RTX 5090"), (48, "L40S, A6000"), (80, "A100, H100"),
    (96, "RTX PRO 6000"), (141, "H200"), (180, "B200"),
)  # fmt: skip
"""Memory in GB with examples, as the makers print them on the box."""
SHORTEST_TOKENS = 128


@dataclass(frozen=True)
class Need:
    """The smallest GPU on which a method fits; `vram_gb` is 0 when none of the table is large enough."""

    method: str
    vram_gb: int
    examples: str
    need_bytes: int
    host_bytes: int
    disk_bytes: int


def smallest_gpus(answers: Answers, facts: Facts) -> list[Need]:
    """For each method the smallest card of the table with these answers. Empty while machine or model are unknown."""
    machine = facts.machine.value
    if machine is None or facts.model.value is None:
        return []
    found: dict[str, Need] = {}
    largest: dict[str, MethodPlan] = {}
    for vram_gb, examples in CARDS:
        for plan in _plans(answers, facts, _with_gpu(machine, vram_gb)):
            largest[plan.name] = plan
            if plan.fits and plan.name not in found:
                found[plan.name] = Need(plan.name, vram_gb, examples, plan.memory.total_bytes, plan.host_memory_bytes,
                                        plan.disk_bytes)  # fmt: skip
    for name, plan in largest.items():
        found.setdefault(name, Need(name, 0, "", plan.memory.total_bytes, plan.host_memory_bytes, plan.disk_bytes))
    return [found[name] for name in ("qlora", "lora", "full") if name in found]


def _with_gpu(machine: Machine, vram_gb: int) -> Machine:
    from engine.machine.detect import pretend

    return pretend(machine, float(vram_gb))


def _plans(answers: Answers, facts: Facts, machine: Machine) -> tuple[MethodPlan, ...]:
    other = replace(facts, machine=Found(value=machine))
    return looking.make_plan(answers, other).methods


def needs_text(needs: list[Need]) -> str:
    """The table in sentences."""
    if not needs:
        return "Choose a model first; then the smallest GPU for each method is computed here."
    lines = ["The smallest graphics card for your model, data and settings:\n"]
    for need in needs:
        title = METHOD_TITLES[need.method]
        rest = f"RAM {gigabytes(need.host_bytes)}, disk {gigabytes(need.disk_bytes)}"
        if need.vram_gb:
            lines.append(f"{title}: {need.vram_gb} GB, such as {need.examples}. It uses about "
                         f"{gigabytes(need.need_bytes)}; {rest}.")  # fmt: skip
        else:
            lines.append(f"{title}: more than one card; it uses about {gigabytes(need.need_bytes)}, {rest}.")
    lines.append("\nYou can pretend such a card on the Machine page, plan for it, and save the recipe.")
    return "\n".join(lines)


def find_remedy(answers: Answers, facts: Facts) -> Remedy | None:
    """The longest sequence length (by halves) with which the method in force fits; None when none does."""
    name, machine = facts.method(answers), facts.machine.value
    current = facts.settings(answers).get("training.sequence_length")
    if machine is None or current is None or not isinstance(current.value, int):
        return None
    tokens = 1 << (max(current.value - 1, 1).bit_length() - 1)  # the next power of two below
    while tokens >= SHORTEST_TOKENS:
        tried = answers.snapshot()
        tried.values["training.sequence_length"] = Answer(tokens, "you", "")
        if any(plan.name == name and plan.fits for plan in _plans(tried, facts, machine)):
            return Remedy(f"Cut rows to {tokens:,} tokens", "training.sequence_length", tokens)
        tokens //= 2
    return None
