"""What one step would need on each of several GPUs: by formula, from the parts of the plan for one.

Less certain than the plan for one GPU, which is simulated: nothing here was held against a measurement, and buffers of
NCCL differ between machines. So a tenth is added before a need counts as fitting.
Sources: this program's own sum of gradients (data parallel), PyTorch's notes on FSDP2 (`fully_shard` a block
at a time, the next block gathered ahead, the root's parameters kept gathered), DeepSpeed's code (0.19: a copy in fp32
and Adam's two values of what is trained, gradients as they come and once more in fp32 when the step is taken).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.machine.gpus import Gpu
from engine.machine.packages import has_deepspeed
from engine.models.spec import ModelSpec
from engine.plan.fit import Verdict, judge
from engine.plan.weights import adapter_bytes, gradient_bytes, optimizer_bytes, weight_bytes, weight_width

if TYPE_CHECKING:
    from engine.plan.memory import TrainingShape
    from engine.plan.plan import MethodPlan

MIB = 1 << 20
BUCKET_BYTES = 32 * MIB  # gradients travel in pieces of this size (`engine.train.gradients`)
ZERO_BUCKET = 16_000_000  # numbers, as `engine.train.zero` configures DeepSpeed; two hold gradients, one weights
NCCL_BYTES = 400 * MIB  # its channels and kernels; 200-500 MiB a process are commonly seen
DDP_BYTES = NCCL_BYTES + BUCKET_BYTES
UNCERTAINTY = 1.1
SENTENCES = {
    "ddp": "Data parallel: every GPU holds the whole model and learns other rows.",
    "zero2": "Sharded (DeepSpeed ZeRO-2): every GPU holds the weights; gradients and optimizer are divided.",
    "fsdp2": "Sharded (FSDP2): weights, gradients and optimizer are divided; one block at a time is gathered.",
    "zero3": "Sharded (DeepSpeed ZeRO-3): weights, gradients and optimizer are divided; a block at a time is gathered.",
}


@dataclass(frozen=True)
class Sharing:
    """One way to use `count` GPUs with one method. `need_bytes` is the need of each of them."""

    way: str
    count: int
    need_bytes: int
    free_bytes: int
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """The form of `plan --json`."""
        return {**self.__dict__, "sentence": SENTENCES[self.way], "certainty": "by formula, not simulated"}


def sharings(plan: MethodPlan, spec: ModelSpec, gpus: Sequence[Gpu]) -> list[Sharing]:
    """Every way to share a step of `plan` among `gpus`; empty for fewer than two. The fullest GPU decides."""
    if len(gpus) < 2 or plan.shape is None or not plan.available:
        return []
    ways = possible_ways(plan)
    free, count = min(gpu.free_bytes for gpu in gpus), len(gpus)
    plan = replace(plan, sharing_bytes=0)
    if plan.estimate is not None and plan.divided:
        plan = replace(plan, memory=plan.estimate)  # of the whole model
    found = []
    for way in ways:
        need = device_bytes(plan, spec, way, count)
        found.append(Sharing(way, count, need, free, judge(int(UNCERTAINTY * need), free).verdict))
    return found


def possible_ways(plan: MethodPlan) -> tuple[str, ...]:
    """The ways to share this method's work here, in the order in which they are recommended: least traffic first."""
    if plan.shape is None or plan.shape.objective != "sft" or plan.value("method.backend") != "trl":
        return ("ddp",)
    ways = ("ddp", "zero2", "fsdp2", "zero3") if plan.name == "full" else ("ddp", "zero3", "zero2")
    return ways if has_deepspeed() else tuple(way for way in ways if not way.startswith("zero"))


def best_sharing(found: Sequence[Sharing]) -> Sharing | None:
    """The first way that fits: data parallel is the fastest, sharding costs traffic at every block."""
    return next((one for one in found if one.verdict == "fits"), None)


def device_bytes(plan: MethodPlan, spec: ModelSpec, way: str, count: int) -> int:
    """The need of one of `count` devices. With one device it is the plan's own need, whatever the way."""
    if count < 2:
        return plan.need_bytes
    if way == "ddp":
        return int(plan.need_bytes + DDP_BYTES)
    shape = plan.shape
    assert shape is not None, "a plan of this program has a shape"
    weights, adapters = weight_bytes(spec, shape), adapter_bytes(spec, shape)
    gradients, optimizer = gradient_bytes(spec, shape), optimizer_bytes(spec, shape, "cuda")
    held = weights + adapters + optimizer + plan.memory.parts.get("gradients", 0)
    rest = plan.need_bytes + NCCL_BYTES - held
    gathered = 2 * _block_bytes(spec, weights) + _root_bytes(spec, weights)
    if way == "fsdp2":
        return int(rest + held / count + gathered + _block_gradients(spec, gradients))
    trained = _zero_bytes(spec, shape, weights) / count + 3 * ZERO_BUCKET * weight_width(shape)
    if way == "zero2":
        return int(rest + weights + adapters + trained + _block_gradients(spec, gradients))
    return int(rest + (weights + adapters) / count + trained + gathered + _block_gradients(spec, gradients))


def _zero_bytes(spec: ModelSpec, shape: TrainingShape, weights: float) -> float:
    """What DeepSpeed holds of everything that is trained: a copy in fp32, Adam's two values, gradients in two forms."""
    width = weight_width(shape)
    trained = weights / width if shape.method == "full" else adapter_bytes(spec, shape) / 4
    return trained * (4 + 8 + width + 4)


def _block_bytes(spec: ModelSpec, weights: float) -> float:
    """The weights of one block, as they are loaded."""
    blocks = sum(spec.parts.get(name, 0) for name in ("attention", "mlp", "experts"))
    return weights * blocks / spec.parameters / max(1, spec.layers)


def _block_gradients(spec: ModelSpec, gradients: float) -> float:
    """The gradients of one block before they are divided, and the buffer they are divided from."""
    return 2 * gradients / max(1, spec.layers)


def _root_bytes(spec: ModelSpec, weights: float) -> float:
    """Embeddings and head stay gathered from the forward to the backward pass."""
    return weights * (spec.parts.get("embeddings", 0) + spec.parts.get("lm_head", 0)) / spec.parameters
