"""How many GPUs a run should use, and whether its model has to be divided among them: the decision with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.machine.packages import has_deepspeed, install_command
from engine.plan.devices import least_micro_batch
from engine.plan.explain import shortage_warnings
from engine.plan.fit import judge
from engine.plan.memory import TrainingShape
from engine.plan.plan import MethodPlan
from engine.plan.settings import recommended
from engine.plan.several_gpus import DDP_BYTES, UNCERTAINTY, possible_ways, sharings
from engine.plan.situation import Situation
from engine.plan.weights import weight_bytes
from engine.plan.words import size_text

OPTIMIZER, EXACT = "training.optimizer", "adamw_torch_fused"
MICRO, ACCUMULATION = "training.micro_batch_size", "training.gradient_accumulation_steps"


def with_devices(here: Situation, plan: MethodPlan) -> MethodPlan:
    """The plan with its number of GPUs. Each learns a whole number of the micro-batches of a step, so that the
    effective batch stays what it is: where they do not divide, or do not fit beside what sharing takes, micro-batches
    become smaller, unless the person set them."""
    decision = _decision(here, plan)
    devices = here.pick("training.devices", recommended(decision.count, decision.reason))
    sharding = here.pick("training.sharding", recommended(decision.sharding, _why(decision.sharding)))
    count, shape = int(str(devices.value)), decision.shape
    if count != decision.count:  # the person's own
        shape = next(_shapes(here, plan, count), None)
    shared = replace(plan, answers={**plan.answers, "training.devices": devices, "training.sharding": sharding})
    if shape is None or count == 1:
        return shared
    found = _in_shares(here, shared, shape, count)
    return found if sharding.value == "none" else _in_parts(here, found, str(sharding.value), count)


@dataclass(frozen=True)
class _Decision:
    count: int
    reason: str
    sharding: str = "none"
    shape: TrainingShape | None = None
    """What goes through each GPU, where several share the work."""


def _decision(here: Situation, plan: MethodPlan) -> _Decision:
    gpus = here.machine.nvidia_gpus
    if not gpus:
        return _Decision(1, "There is no NVIDIA GPU here that could share the work.")
    if len(gpus) == 1:
        return _Decision(1, "One GPU is here.")
    for way in possible_ways(plan):
        start = _exact(here, plan) if way != "ddp" else plan
        for count in range(len(gpus), 1, -1):
            shape = next((one for one in _shapes(here, start, count) if _fits(here, plan, one, way, count)), None)
            if shape is not None:
                idle = "" if count == len(gpus) else f" A step's rows cannot be divided by {len(gpus)}."
                return _Decision(count, _sentence(way, count) + idle, "none" if way == "ddp" else way, shape)
    if next(_shapes(here, plan, 2), None) is None:
        return _Decision(1, "A step has too few rows to be shared.")
    if here.objective.value != "sft":
        what = "a model that compares answers or has a head of its own is not divided among several."
        return _Decision(1, f"With what sharing takes it does not fit on a GPU, and {what}")
    if plan.name == "full":
        return _Decision(1, f"It does not fit on {len(gpus)} GPUs, neither whole on each nor divided among them.")
    who = "With what sharing takes it" if plan.fits else "It"
    if has_deepspeed():
        return _Decision(1, f"{who} does not fit on {len(gpus)} GPUs, neither whole on each nor divided among them.")
    return _Decision(1, f"{who} does not fit on a GPU. DeepSpeed, which is not installed, could divide it among "
                        f"{len(gpus)} (training.sharding=zero3): {install_command('deepspeed')}")  # fmt: skip


def _exact(here: Situation, plan: MethodPlan) -> MethodPlan:
    """The plan with the exact optimizer, unless the person chose another: an 8-bit one cannot be divided."""
    if plan.shape is None or here.is_set(OPTIMIZER):
        return plan
    return replace(plan, shape=replace(plan.shape, optimizer=EXACT))


def _shapes(here: Situation, plan: MethodPlan, count: int) -> Iterator[TrainingShape]:
    """Shapes with the same effective batch of which `count` GPUs learn equal shares, largest micro-batch first."""
    shape = plan.shape
    if shape is None:
        return
    rows = shape.micro_batch_size * shape.accumulation
    fixed = here.is_set(MICRO) or here.is_set(ACCUMULATION)
    least = least_micro_batch(shape.objective)
    for micro in (shape.micro_batch_size,) if fixed else range(shape.micro_batch_size, least - 1, -1):
        if rows % (micro * count) == 0:
            yield replace(shape, micro_batch_size=micro, accumulation=rows // micro)


def _fits(here: Situation, plan: MethodPlan, shape: TrainingShape, way: str, count: int) -> bool:
    smaller = replace(plan, shape=shape, memory=here.measure(shape))
    found = sharings(smaller, here.spec, here.machine.nvidia_gpus[:count])
    return any(one.way == way and one.verdict == "fits" for one in found)


def _sentence(way: str, count: int) -> str:
    if way == "ddp":
        return f"Data parallel: each of {count} GPUs holds the whole model and learns its share of every step."
    if way == "zero2":
        return f"Sharded: {count} GPUs divide gradients and optimizer, and each holds the weights (DeepSpeed ZeRO-2)."
    name = {"fsdp2": "FSDP2", "zero3": "DeepSpeed ZeRO-3"}[way]
    return f"Sharded: no GPU holds the whole model with its optimizer, so {count} of them divide it ({name})."


def _why(sharding: str) -> str:
    if sharding == "none":
        return "A GPU holds the whole model, which needs the least traffic."
    if sharding == "zero2":
        return "The weights fit on a GPU, the optimizer beside them does not. Dividing that alone needs less traffic."
    return "On one GPU it does not fit; divided it does. Every block is gathered when its turn comes, which is slower."


def _in_parts(here: Situation, plan: MethodPlan, way: str, count: int) -> MethodPlan:
    """The plan judged by what each GPU needs of a model that is divided among `count`."""
    found = {one.way: one for one in sharings(plan, here.spec, here.machine.nvidia_gpus[:count])}
    each = found.get(way)
    if each is None:
        return plan
    share = each.need_bytes / max(1, plan.memory.total_bytes)
    parts = {name: int(size * share) for name, size in plan.memory.parts.items()}
    memory = replace(plan.memory, total_bytes=each.need_bytes, parts=parts, exact=False,
                     allocated_bytes=int(plan.memory.allocated_bytes * share),
                     reserved_bytes=int(plan.memory.reserved_bytes * share))  # fmt: skip
    fit = judge(int(UNCERTAINTY * each.need_bytes), each.free_bytes)
    reason = (f"Divided among {count} GPUs, each needs {size_text(each.need_bytes)} of the "
              f"{size_text(each.free_bytes)} that are free (by formula).")  # fmt: skip
    optimizer = recommended(EXACT, "Divided among the GPUs, the exact Adam's state is small.")
    answers = plan.answers if here.is_set(OPTIMIZER) else {**plan.answers, OPTIMIZER: optimizer}
    fits = plan.available and fit.verdict == "fits"
    weights = weight_bytes(here.spec, plan.shape) if plan.shape is not None else 0
    # before they are divided they lie in RAM: as pages of the files, which all share, or in 4 bits, each its own
    plan = _with_host(here, plan, plan.host_memory_bytes + int(weights * (count if plan.name == "qlora" else 1)))
    return replace(plan, memory=memory, estimate=plan.memory, sharing_bytes=0, fits=fits, verdict=fit.verdict,
                   answers=answers, shortfall_bytes=fit.shortfall_bytes, reason=reason)  # fmt: skip


def _with_host(here: Situation, plan: MethodPlan, host_bytes: int) -> MethodPlan:
    """The plan with what all processes take of the machine's RAM."""
    return replace(plan, host_memory_bytes=host_bytes, warnings=shortage_warnings(here, host_bytes, plan.disk_bytes))


def _in_shares(here: Situation, plan: MethodPlan, shape: TrainingShape, count: int) -> MethodPlan:
    """The plan for micro-batches of this shape, with the time and the RAM of `count` processes."""
    micro, accumulation, answers = shape.micro_batch_size, shape.accumulation, dict(plan.answers)
    memory = plan.memory
    if micro != plan.value(MICRO):
        each = accumulation // count
        term = " KTO measures its KL term within one." if shape.objective == "kto" else ""
        answers[MICRO] = recommended(micro, f"So that each of {count} GPUs learns {each} of them in every step.{term}")
        why = answers[ACCUMULATION].reason.partition("rows per step.")[2].strip()
        answers[ACCUMULATION] = recommended(
            accumulation, f"{micro} x {accumulation} = {micro * accumulation} rows per step. {why}")  # fmt: skip
    if shape != plan.shape:
        memory = here.measure(shape)
    talk = DDP_BYTES if here.device == "cuda" else 0
    found = _with_host(here, plan, plan.host_memory_bytes * count)
    found = replace(found, answers=answers, shape=shape, memory=memory, seconds=plan.seconds / count,
                    sharing_bytes=talk)  # fmt: skip
    reason = (f"Needs {size_text(found.need_bytes)} of the {size_text(plan.free_bytes)} that are free on each of "
              f"{count} devices.")  # fmt: skip
    return replace(found, reason=reason) if plan.fits else found
