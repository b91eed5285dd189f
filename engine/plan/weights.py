"""What stays in memory between steps: weights, adapters, gradients, optimizer state. Exact, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.models.spec import ModelSpec
from engine.plan.adapters import adapter_parameters, adapter_shapes, layer_share

if TYPE_CHECKING:
    from engine.plan.memory import Device, TrainingShape

NF4_BYTES = 0.515869  # 4 bits, an 8-bit scale per 64 weights and a 32-bit scale per 256 of those (bitsandbytes 0.50)
ADAPTER_WIDTH = 4  # adapters are trained in fp32 under every method: in 16 bits Adam's second moment would stand still
EIGHT_BIT_STATE_BYTES = 2.03125  # two 8-bit moments and two fp32 scales per 256 elements
PAGED_SCALE_BYTES = 0.03125  # the scales of a paged optimizer stay on the device; its moments may leave it
SMALLEST_EIGHT_BIT = 4096  # bitsandbytes keeps the state of smaller tensors in fp32
SMALLEST_PAGED = 100_000  # and pages only larger ones
WIDE_STATE_BYTES = 8.0  # two moments in fp32: transformers keeps those of embeddings out of 8 bits (Trainer, 5.23)
TORCH_OPTIMIZERS = ("adamw_torch_fused", "adamw_torch")


def weight_width(shape: TrainingShape) -> int:
    """Bytes of one unquantized base weight: 2 in 16 bits, 4 in fp32 (and for full fine-tuning in fp16, which needs
    fp32)."""
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
    return adapter_size(spec, shape)


def adapter_size(spec: ModelSpec, shape: TrainingShape) -> int:
    """Parameters of the adapter with all that goes with it: on some layers only, DoRA's lengths, trained embeddings."""
    pairs = adapter_parameters(spec, shape.rank, shape.target_modules)
    lengths = sum(pair.ranks * pair.outputs * pair.count for pair in adapter_shapes(spec, shape.target_modules))
    whole = pairs + (lengths if shape.dora else 0)
    return round(whole * layer_share(spec, shape.layers)) + embedding_parameters(spec, shape)


def embedding_parameters(spec: ModelSpec, shape: TrainingShape) -> int:
    """Embeddings and output head where they are trained whole beside an adapter; shared ones count once."""
    if not shape.train_embeddings or shape.method == "full":
        return 0
    return spec.vocab_size * spec.hidden_size * (1 if spec.tied_embeddings else 2)


def trainable_width(shape: TrainingShape) -> int:
    """Bytes of one trained parameter, which its gradient shares."""
    return weight_width(shape) if shape.method == "full" else ADAPTER_WIDTH


def trainable_tensors(spec: ModelSpec, shape: TrainingShape) -> Iterator[tuple[int, int]]:
    """(elements, how many tensors of that size) of everything that is trained."""
    if shape.method != "full":
        share = layer_share(spec, shape.layers)
        for pair in adapter_shapes(spec, shape.target_modules):
            count = round(pair.count * share)
            yield pair.ranks * shape.rank * pair.inputs, count
            yield pair.ranks * shape.rank * pair.outputs, count
            if shape.dora:
                yield pair.ranks * pair.outputs, count
        if shape.train_embeddings:
            yield spec.vocab_size * spec.hidden_size, 1 if spec.tied_embeddings else 2
        return
    for item in spec.linears:
        yield item.inputs * item.outputs, item.count
        if item.bias:
            yield item.outputs, item.count
    for name in ("embeddings", "lm_head", "experts", "other"):
        yield spec.parts.get(name, 0), 1
    yield spec.hidden_size, spec.parts.get("norms", 0) // max(1, spec.hidden_size)


def adapter_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The adapter; 0 for full fine-tuning."""
    if shape.method == "full":
        return 0
    return ADAPTER_WIDTH * adapter_size(spec, shape)


def gradient_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """All gradients together, in the type of their parameters."""
    return trainable_width(shape) * trainable_parameters(spec, shape)


def optimizer_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """Optimizer state on the device. torch's Adam keeps two moments in the parameters' type, bitsandbytes' in 8
    bits."""
    if device == "cpu" or shape.optimizer in TORCH_OPTIMIZERS:
        return 2 * trainable_width(shape) * trainable_parameters(spec, shape)
    paged = shape.optimizer.startswith("paged")
    total = 0.0
    for elements, count in trainable_tensors(spec, shape):
        if elements < SMALLEST_EIGHT_BIT:
            total += 8.0 * elements * count
        elif paged and elements >= SMALLEST_PAGED:
            total += PAGED_SCALE_BYTES * elements * count
        else:
            total += EIGHT_BIT_STATE_BYTES * elements * count
    wide = wide_elements(spec, shape)
    if wide < SMALLEST_EIGHT_BIT:
        return total
    if paged and wide >= SMALLEST_PAGED:
        return total - PAGED_SCALE_BYTES * wide
    return total + (WIDE_STATE_BYTES - EIGHT_BIT_STATE_BYTES) * wide


def wide_elements(spec: ModelSpec, shape: TrainingShape) -> int:
    """Trained weights of token embeddings, with the output head where the two are one."""
    if shape.method == "full":
        return spec.parts.get("embeddings", 0)
    return spec.vocab_size * spec.hidden_size if shape.train_embeddings else 0


def paged_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """Optimizer state that may be pushed out to host RAM."""
    if not shape.optimizer.startswith("paged"):
        return 0.0
    tensors, wide = trainable_tensors(spec, shape), wide_elements(spec, shape)
    moments = sum(2.0 * size * count for size, count in tensors if size >= SMALLEST_PAGED)
    return moments + ((WIDE_STATE_BYTES - 2.0) * wide if wide >= SMALLEST_PAGED else 0.0)


def step_temporary_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """adamw_torch works on all parameters at once and needs one more copy of them; the fused one does not."""
    return trainable_width(shape) * trainable_parameters(spec, shape) if shape.optimizer == "adamw_torch" else 0.0
