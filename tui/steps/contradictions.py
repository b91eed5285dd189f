"""Settings that contradict the model, the data, this machine or each other, each with the change that mends it."""

from __future__ import annotations

from collections.abc import Mapping

from engine.answer import Answer
from engine.data.objectives import FORMAT_OF, OBJECTIVE_OF
from engine.errors import UserError
from tui.steps import devices
from tui.steps.facts import Facts
from tui.steps.option import Problem, Remedy


def contradictions(in_force: Mapping[str, Answer], facts: Facts) -> list[Problem]:
    """What is wrong with the settings `in_force` together; empty when they go together."""
    found = [_with_model(in_force, facts), _with_data(in_force, facts), _with_trackers(in_force)]
    found += [_with_machine(in_force, facts), _with_pages(in_force, facts), _with_amount(in_force, facts)]
    found += [_with_numbers(in_force, facts)]
    return [*(problem for problem in found if problem is not None), *devices.problems(in_force)]


def _with_model(in_force: Mapping[str, Answer], facts: Facts) -> Problem | None:
    """Sequences that are longer than the model's positions reach."""
    model, length = facts.model.value, in_force.get("training.sequence_length")
    if model is None or length is None or not model.spec.context_length:
        return None
    longest = model.spec.context_length
    if not isinstance(length.value, int) or length.value <= longest:
        return None
    what = f"The sequence length of {length.value:,} is more than the model's {longest:,} tokens."
    remedy = Remedy(f"Use {longest:,}", "training.sequence_length", longest)
    return Problem(what, "Settings", f"Use at most {longest:,}.", remedy=remedy)


def _with_amount(in_force: Mapping[str, Answer], facts: Facts) -> Problem | None:
    """As many rows held out as there are."""
    held, total = in_force.get("evaluation.held_out_rows"), int((facts.data.value or {}).get("rows", 0))
    if held is None or not total or not isinstance(held.value, int) or held.value < total:
        return None
    suggested = max(1, total // 20)
    what = f"{held.value:,} rows are held out of {total:,}, so nothing is left to train on."
    remedy = Remedy(f"Use {suggested}", "evaluation.held_out_rows", suggested)
    return Problem(what, "Settings", f"Hold out fewer, such as {suggested}.", remedy=remedy)


def _with_machine(in_force: Mapping[str, Answer], facts: Facts) -> Problem | None:
    """What cannot be done on this machine."""
    offloading, machine = in_force.get("training.activation_offloading"), facts.machine.value
    if offloading is None or offloading.value is not True or machine is None:
        return None
    objective = str(in_force["method.objective"].value) if "method.objective" in in_force else "sft"
    what = ""
    if machine.best_gpu is None or machine.best_gpu.kind == "mps":
        what = "Activations can only be offloaded from a GPU to the host's memory."
    elif objective in ("orpo", "classify"):
        what = f"The trainer of the objective {objective} does not offload activations."
    if not what:
        return None
    remedy = Remedy("Switch it off", "training.activation_offloading", False)
    return Problem(what, "Settings", "Switch activation offloading off.", remedy=remedy)


def _with_pages(in_force: Mapping[str, Answer], facts: Facts) -> Problem | None:
    """A paged optimizer where there is no GPU whose memory could be short."""
    optimizer, machine = in_force.get("training.optimizer"), facts.machine.value
    if optimizer is None or not str(optimizer.value).startswith("paged") or machine is None:
        return None
    if machine.best_gpu is not None and machine.best_gpu.kind != "mps":
        return None
    what = "Nothing is paged without an NVIDIA GPU: here paged_adamw_8bit works as adamw_8bit."
    remedy = Remedy("Use adamw_torch_fused", "training.optimizer", "adamw_torch_fused")
    fix = "adamw_torch_fused is exact, and its larger state matters little here."
    return Problem(what, "Settings", fix, blocking=False, remedy=remedy)


def _with_numbers(in_force: Mapping[str, Answer], facts: Facts) -> Problem | None:
    """Half precision on a processor, which has no use for it."""
    precision, machine = in_force.get("training.precision"), facts.machine.value
    if precision is None or precision.value != "fp16" or machine is None or machine.best_gpu is not None:
        return None
    remedy = Remedy("Use fp32", "training.precision", "fp32")
    return Problem("A processor trains in fp32 where the recipe says fp16.", "Settings",
                   "Use fp32, or bf16 where memory is short.", blocking=False, remedy=remedy)  # fmt: skip


def _with_trackers(in_force: Mapping[str, Answer]) -> Problem | None:
    """A tracker whose package is missing, before anything starts."""
    from engine.machine.trackers import require_trackers

    wanted = in_force["tracking.to"].value if "tracking.to" in in_force else []
    try:
        require_trackers(wanted if isinstance(wanted, list) else [])
    except UserError as error:
        return Problem.of(error)
    return None


def _with_data(in_force: Mapping[str, Answer], facts: Facts) -> Problem | None:
    """An objective that these rows do not serve, or cannot go together with another setting."""
    objective = str(in_force["method.objective"].value) if "method.objective" in in_force else "sft"
    name = str((facts.data.value or {}).get("format", ""))
    if name and FORMAT_OF.get(objective, name) != name:
        what = f"{objective.upper()} needs rows in the format {FORMAT_OF[objective]}, and these are read as {name}."
        better = OBJECTIVE_OF.get(name, "sft")
        remedy = Remedy(f"Use {better}", "method.objective", better)
        return Problem(what, "Settings", f"Set the objective to {better}.", remedy=remedy)
    packing = in_force.get("training.packing")
    if objective != "sft" and packing is not None and packing.value is True:
        remedy = Remedy("Switch packing off", "training.packing", False)
        return Problem("Rows that are compared cannot be packed.", "Settings", "Switch packing off.", remedy=remedy)
    return None
