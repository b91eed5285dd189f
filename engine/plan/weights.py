"""What stays in memory between steps: weights, adapters, gradients, optimizer state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.spec import ModelSpec
from engine.plan.adapters import adapter_parameters

if TYPE_CHECKING:
    from engine.plan.memory import Device, TrainingShape

NF4_BYTES = (
    0.515869  # 4 bits, plus an 8-bit scale per 64 weights, plus a 32-bit scale per 256 scales (bitsandbytes 0.50)
)
EIGHT_BIT_STATE_BYTES = 2.03125  # two 8-bit moments and two fp32 scales per 256 elements
ADAPTER_WIDTH = 4  # adapters are trained in fp32 under every method: in 16 bits Adam's second moment would stand still
PAGED_SCALE_BYTES = 0.03125  # the scales of a paged optimizer stay on the device; its moments may leave it


def weight_width(shape: TrainingShape) -> int:
    """Bytes of one unquantized base weight: 2 in 16 bits, 4 in fp32 (and for full fine-tuning in fp16, which needs
    fp32 masters)."""
    if shape.precision == "fp32" or (shape.method == "full" and shape.precision == "fp16"):
        return 4
    return 2


def weight_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The base model as loaded."""
    width = weight_width(shape)
    if shape.method != "qlora" and not spec.quantization:
        return width * spec.parameters
    return NF4_BYTES * spec.linear_parameters + width * (spec.parameters - spec.linear_parameters)


def trainable_parameters(spec: ModelSpec, shape: TrainingShape) -> int:
    """Parameters that get a gradient."""
    if shape.method == "full":
        return spec.parameters
    return adapter_parameters(spec, shape.rank, shape.target_modules)


def trainable_width(shape: TrainingShape) -> int:
    """Bytes of one trained parameter, which its gradient shares."""
    return weight_width(shape) if shape.method == "full" else ADAPTER_WIDTH


def adapter_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The adapter; 0 for full fine-tuning."""
    if shape.method == "full":
        return 0
    return ADAPTER_WIDTH * adapter_parameters(spec, shape.rank, shape.target_modules)


def gradient_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """All gradients together, in the type of their parameters."""
    return trainable_width(shape) * trainable_parameters(spec, shape)


def optimizer_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """Optimizer state on the device. torch's Adam keeps two moments in the parameters' type."""
    count = trainable_parameters(spec, shape)
    if device == "cpu" or shape.optimizer.startswith("adamw_torch"):
        return 2 * trainable_width(shape) * count
    return (PAGED_SCALE_BYTES if shape.optimizer.startswith("paged") else EIGHT_BIT_STATE_BYTES) * count


def paged_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """Optimizer state that may be pushed out to host RAM."""
    return 2.0 * trainable_parameters(spec, shape) if shape.optimizer.startswith("paged") else 0.0


def step_temporary_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """adamw_torch works on all parameters at once and needs one more copy of them; the fused one does not."""
    return trainable_width(shape) * trainable_parameters(spec, shape) if shape.optimizer == "adamw_torch" else 0.0
