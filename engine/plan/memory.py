"""The estimate: what one training step needs, in closed form, instantly and without torch.

Peak memory is the largest of a few moments that never coincide: the loss, the backward pass at the top of the
network, its
end, and the optimizer's step. Each moment is a sum of parts. Formulas and constants: research notes on the memory of
transformers 5.23 + trl 1.16 + peft 0.21 steps, checked against simulated and published measured runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from engine.models.spec import ModelSpec
from engine.plan.adapters import targeted_linears
from engine.plan.weights import adapter_bytes, gradient_bytes, optimizer_bytes, step_temporary_bytes, weight_bytes

Device = Literal["cuda", "cpu"]

MIB = 1 << 20
CONTEXT_BYTES = (
    500 * MIB
)  # CUDA context outside the allocator: 141 MiB measured on a T4, 400-550 MiB said of A100 and H100
CUBLAS_BYTES = 2 * 8_519_680  # one workspace per cuBLAS handle: the main thread's and the autograd thread's
RESERVED_SHARE = 1.03  # what the allocator holds beyond live tensors with expandable segments, as a share
LOSS_TILE_ROWS, LOSS_TILE_COLUMNS = 4096, 32768  # trl's chunked loss: one tile of logits at a time


@dataclass(frozen=True)
class TrainingShape:
    """What decides the memory of a step. `sequence_length` is the longest row of a batch in tokens."""

    method: str
    micro_batch_size: int
    sequence_length: int
    rank: int = 16
    gradient_checkpointing: bool = True
    optimizer: str = "adamw_torch_fused"
    precision: str = "bf16"
    accumulation: int = 1
    target_modules: tuple[str, ...] = ("all-linear",)
    chunked_loss: bool = True

    @property
    def tokens(self) -> int:
        """Tokens of one micro-batch."""
        return self.micro_batch_size * self.sequence_length


@dataclass(frozen=True)
class Memory:
    """Bytes on the training device. `allocated` is live tensors, `reserved` what the allocator holds for them,
    `total` adds
    the CUDA context; `parts` sums to `total`. `kind` says how it was found: "estimate", "simulation" or "rehearsal"."""

    kind: str
    allocated_bytes: int
    reserved_bytes: int
    total_bytes: int
    parts: Mapping[str, int]
    moment: str = ""


def estimate_memory(
    spec: ModelSpec, shape: TrainingShape, device: Device = "cuda", context_bytes: int = CONTEXT_BYTES
) -> Memory:
    """The peak of one training step. UserError when `target_modules` names layers that the model does not have."""
    moments = _moments(spec, shape, device)
    moment = max(moments, key=lambda name: sum(moments[name].values()))
    parts = {name: int(size) for name, size in moments[moment].items() if size >= 1}
    allocated = sum(parts.values())
    if device == "cpu":
        return Memory("estimate", allocated, allocated, allocated, parts, moment)
    reserved = int(allocated * RESERVED_SHARE)
    parts |= {"allocator": reserved - allocated, "context": context_bytes}
    return Memory("estimate", allocated, reserved, reserved + context_bytes, parts, moment)


def with_context(memory: Memory, context_bytes: int) -> Memory:
    """The same memory with another size of the CUDA context."""
    parts = dict(memory.parts) | {"context": context_bytes}
    return replace(memory, total_bytes=memory.reserved_bytes + context_bytes, parts=parts)


def _moments(spec: ModelSpec, shape: TrainingShape, device: Device) -> dict[str, dict[str, float]]:
    """Bytes by part at each moment that can be the peak."""
    gradients = gradient_bytes(spec, shape)
    static: dict[str, float] = {
        "weights": weight_bytes(spec, shape),
        "adapters": adapter_bytes(spec, shape),
        "optimizer": optimizer_bytes(spec, shape, device),
        "workspace": CUBLAS_BYTES if device == "cuda" else 0,
    }
    held = (
        gradients if shape.accumulation > 1 else 0
    )  # accumulated gradients live through the next forward and backward
    kept = kept_bytes(spec, shape, device)
    hump = layer_bytes(spec, shape, device)
    last = layer_bytes(spec, replace(shape, gradient_checkpointing=True), device)  # the first layer's own activations
    dequantized = (
        2 * max((item.inputs * item.outputs for item in spec.linears), default=0) if shape.method == "qlora" else 0
    )
    head = head_gradient_bytes(spec, shape)
    live = gradients if shape.accumulation > 1 else head
    return {
        "loss": static | {"gradients": held, "activations": kept, "loss": loss_bytes(spec, shape) + head},
        "backward": static
        | {"gradients": live, "activations": kept + hump, "workspace": static["workspace"] + dequantized},
        "end of backward": static | {"gradients": gradients + _embedding_gradient(spec, shape), "activations": last},
        "optimizer step": static
        | {"gradients": gradients, "workspace": static["workspace"] + step_temporary_bytes(spec, shape)},
    }


def kept_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """Activations that the forward pass keeps for the backward pass."""
    width = 4 if shape.precision == "fp32" else 2
    if shape.gradient_checkpointing:  # only each layer's input is kept
        return (spec.layers + 1) * width * shape.tokens * spec.hidden_size
    return spec.layers * _layer_activations(spec, shape, device) + width * shape.tokens * spec.hidden_size


def layer_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """What the backward pass of one layer holds beyond what was kept: the recomputed layer, or only its temporaries."""
    hidden, inner, query, key = spec.hidden_size, spec.intermediate_size, spec.query_size, spec.key_size
    width = 2 if shape.precision == "fp32" else 1
    temporaries = shape.tokens * width * (4 * inner + 8 * hidden + 2 * query + 2 * key + 4 * spec.head_dim)
    if not shape.gradient_checkpointing:
        return temporaries
    return _layer_activations(spec, shape, device) + temporaries


def _layer_activations(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """Bytes that one layer keeps for its backward pass without checkpointing."""
    hidden, inner, query, key = spec.hidden_size, spec.intermediate_size, spec.query_size, spec.key_size
    adapters = 0 if shape.method == "full" else 2 * shape.rank * len(targeted_linears(spec, shape.target_modules))
    gated = any(item.name.rpartition(".")[2] in ("gate_proj", "gate_up_proj") for item in spec.linears) or spec.experts
    mlp = (8 if gated else 4) * inner * (1 if not spec.experts else 2)
    if shape.precision == "fp32":
        per_token = 2 * mlp + 24 * hidden + 8 * query + 8 * key + 2 * adapters
    elif shape.method == "full":
        per_token = mlp + 16 * hidden + 4 * query + 4 * key
    else:  # fp32 adapters: every target keeps its own 16-bit copy of its input
        per_token = mlp + 18 * hidden + 6 * query + 4 * key + adapters
    attention = shape.tokens * (4 * spec.heads + 8)
    return shape.tokens * per_token + attention + _attention_matrix(spec, shape, device)


def _attention_matrix(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """Scores that are kept where no flash kernel applies: fp32 or a GPU before Ampere (fp16) with grouped queries."""
    if device == "cpu" or shape.precision == "bf16" or spec.heads == spec.kv_heads:
        return 0
    width = 4 if shape.precision == "fp32" else 2
    return 2 * width * spec.heads * shape.tokens * shape.sequence_length


def loss_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The loss: one tile of logits at a time (trl's default), or all logits at once in four copies."""
    tokens = shape.tokens
    if not shape.chunked_loss:
        return 16 * spec.vocab_size * tokens
    width = 4 if shape.precision == "fp32" else 2
    tile = min(tokens, LOSS_TILE_ROWS) * min(spec.vocab_size, LOSS_TILE_COLUMNS) * width
    return tile + (4 + width) * tokens * spec.hidden_size


def head_gradient_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The chunked loss gathers a trainable head's gradient in fp32 and then casts it."""
    if shape.method != "full" or not shape.chunked_loss:
        return 0
    return (4 + (4 if shape.precision == "fp32" else 2)) * spec.vocab_size * spec.hidden_size


def _embedding_gradient(spec: ModelSpec, shape: TrainingShape) -> float:
    """The embedding's gradient is built beside the stored one."""
    width = 4 if shape.precision != "bf16" else 2
    return width * spec.vocab_size * spec.hidden_size if shape.method == "full" else 0
