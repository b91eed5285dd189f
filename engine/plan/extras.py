"""What experts' settings add to a step or take from it: DoRA, trained embeddings, adapters on some layers only.

Weights, gradients and optimizer state are counted exactly. What a step holds beside them is a bound from peft's code
(0.21); `tests/bench/RESULTS.md` says how far it is from what was measured.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.models.spec import ModelSpec
from engine.plan.adapters import adapter_shapes
from engine.plan.preference import grown, with_slack
from engine.plan.weights import adapter_bytes, embedding_parameters, gradient_bytes, optimizer_bytes

if TYPE_CHECKING:
    from engine.plan.memory import Device, Memory, TrainingShape


def has_extras(shape: TrainingShape) -> bool:
    return shape.method != "full" and bool(shape.dora or shape.train_embeddings or shape.layers)


def without_extras(shape: TrainingShape) -> TrainingShape:
    """The step with a plain adapter on every layer."""
    return replace(shape, dora=False, train_embeddings=False, layers="")


def with_extras(memory: Memory, spec: ModelSpec, shape: TrainingShape, device: Device) -> Memory:
    """`memory`, which is that of the step `without_extras`, with what the extras change."""
    plain = without_extras(shape)
    changes = {
        "adapters": adapter_bytes(spec, shape) - adapter_bytes(spec, plain),
        "optimizer": optimizer_bytes(spec, shape, device) - optimizer_bytes(spec, plain, device),
        "gradients": gradient_bytes(spec, shape) - gradient_bytes(spec, plain),
        "embeddings": embedding_gradient_bytes(spec, shape), "dora": dora_bytes(spec, shape),
    }  # fmt: skip
    # a peak at which no gradient exists yet cannot lose any
    changes["gradients"] = max(changes["gradients"], -float(memory.parts.get("gradients", 0)))
    return with_slack(grown(memory, changes), device)


def embedding_gradient_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """A trained head's gradient is gathered in fp32 and then copied; so is that of the embeddings, once more."""
    return 12.0 * embedding_parameters(spec, shape)


def dora_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """What DoRA keeps of its two results per target (one layer's with checkpointing), and the whole weight it measures:
    the product of the two matrices, the base's weight and their sum, in fp32."""
    if not shape.dora:
        return 0.0
    shapes = list(adapter_shapes(spec, shape.target_modules))
    width = 4 if shape.precision == "fp32" else 2
    per_token = sum(pair.outputs * pair.ranks * pair.count for pair in shapes) * (2 * width + 4)
    kept = shape.tokens * per_token / (spec.layers if shape.gradient_checkpointing else 1)
    largest = max((pair.inputs * pair.outputs for pair in shapes), default=0)
    widest = max((pair.inputs for pair in shapes), default=0)
    return float(kept + 4 * (4 * largest + widest * widest))
