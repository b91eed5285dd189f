"""The moments of a step by formula, for structures without a compiled table: less certain, and said so.

Per token and layer the kept activations are, for a decoder like Llama in 16 bits: 8 I (gate, up, silu, product), 16 H
(two fp32 norm inputs, two 16-bit outputs each), 4 Q (rotated query, output), 4 K, 4 n (log-sum-exp); adapters in fp32
keep a 16-bit copy of every target's input beside it. `tests/bench/RESULTS.md` says how far off it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.models.spec import ModelSpec
from engine.plan.adapters import adapter_shapes, targeted_linears
from engine.plan.weights import gradient_bytes

if TYPE_CHECKING:
    from engine.plan.memory import Device, TrainingShape

PLAIN_ATTENTION = {"gemma2": 8, "gptj": 6, "gpt_oss": 4}  # bytes per score in 16 bits, of families without a kernel
TILE_ROWS, TILE_COLUMNS = 4096, 32768  # trl's chunked loss: one tile of logits at a time
DIRECT_VOCABULARY = 2048
"""Up to this many tokens in the vocabulary a run on a CPU computes the logits of its trained tokens at once: 4096 of
them take 34 MB, where a tile would take 537."""


def moments(spec: ModelSpec, shape: TrainingShape, device: Device) -> Iterator[tuple[str, dict[str, float]]]:
    """Bytes by part, beside what stays between steps, at each moment that can be the peak."""
    gradients = gradient_bytes(spec, shape)
    accumulated = shape.accumulation > 1
    kept = kept_bytes(spec, shape, device)
    head = head_gradient_bytes(spec, shape)
    largest = max((item.inputs * item.outputs for item in spec.linears), default=0)
    unpacked = (4 if shape.precision == "fp32" else 2) * largest if shape.method == "qlora" else 0
    last = layer_bytes(spec, replace(shape, gradient_checkpointing=True), device)  # the first layer's own activations
    embedding = (2 if shape.precision == "bf16" else 4) * spec.vocab_size * spec.hidden_size
    yield (
        "loss",
        {
            "gradients": gradients if accumulated else 0.0,
            "activations": kept,
            "loss": loss_bytes(spec, shape, device) + head,
        },
    )
    yield (
        "backward",
        {
            "gradients": max(gradients, head) if accumulated else head,
            "activations": kept + layer_bytes(spec, shape, device),
            "workspace": unpacked,
        },
    )
    yield (
        "backward",
        {"gradients": gradients + (embedding if shape.method == "full" else 0), "activations": last},
    )


def takes_direct_loss(vocab_size: int, device: Device) -> bool:
    """Whether the engine leaves the chunked loss alone, see engine/train/loss.py."""
    return device == "cpu" and vocab_size <= DIRECT_VOCABULARY


def direct_loss_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The direct loss where every token is trained: logits, their logarithms and their gradient in fp32, and the
    hidden states that were picked out."""
    tokens = shape.micro_batch_size * (shape.sequence_length - 1)
    return tokens * (12 * spec.vocab_size + 8 * spec.hidden_size)


def kept_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """Activations that the forward pass keeps for the backward pass."""
    width = 4 if shape.precision == "fp32" else 2
    if shape.gradient_checkpointing:  # only each layer's input is kept
        return (spec.layers + 1) * width * shape.tokens * spec.hidden_size
    return spec.layers * _layer_activations(spec, shape, device) + width * shape.tokens * spec.hidden_size


def layer_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """What the backward pass of one layer holds beyond what was kept: the recomputed layer, or only its temporaries."""
    hidden, query, key = spec.hidden_size, spec.query_size, spec.key_size
    width = 2 if shape.precision == "fp32" else 1
    inner = spec.intermediate_size * max(1, spec.experts_per_token) + spec.shared_expert_size
    routed = 8 * hidden * spec.experts_per_token
    per_token = width * (4 * inner + 8 * hidden + routed + 2 * query + 2 * key + 4 * spec.head_dim)
    temporaries = shape.tokens * per_token + _expert_deltas(spec, shape)
    if not shape.gradient_checkpointing:
        return temporaries
    return _layer_activations(spec, shape, device) + temporaries


def _expert_deltas(spec: ModelSpec, shape: TrainingShape) -> float:
    """Adapters of experts are multiplied out to whole weights: two fp32 copies of a block's experts and their sum."""
    adapted = shape.method != "full" and any(item.ranks > 1 for item in adapter_shapes(spec, shape.target_modules))
    return 10 * spec.parts["experts"] / max(1, spec.layers) if adapted else 0.0


def _layer_activations(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """Bytes that one layer keeps for its backward pass without checkpointing."""
    hidden, query, key = spec.hidden_size, spec.query_size, spec.key_size
    adapters = 0 if shape.method == "full" else 2 * shape.rank * len(targeted_linears(spec, shape.target_modules))
    gated = any(item.name.rpartition(".")[2] in ("gate_proj", "gate_up_proj") for item in spec.linears) or spec.experts
    inner = spec.intermediate_size * max(1, spec.experts_per_token) + spec.shared_expert_size
    mlp = (8 if gated else 4) * inner
    if spec.experts:  # each token once for each of its experts
        mlp = 10 * inner + 12 * hidden * spec.experts_per_token
    if shape.precision == "fp32":
        per_token = 2 * mlp + 24 * hidden + 8 * query + 8 * key + 2 * adapters
    elif shape.method == "full":
        per_token = mlp + 16 * hidden + 4 * query + 4 * key
    else:  # fp32 adapters: every target keeps its own 16-bit copy of its input
        per_token = mlp + 18 * hidden + 6 * query + 4 * key + adapters
    attention = shape.tokens * (4 * spec.heads + 8)
    return shape.tokens * per_token + attention + _attention_matrix(spec, shape, device)


def _attention_matrix(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """Scores that are kept where no flash kernel applies: families without one, and on a GPU fp32 or (before Ampere)
    fp16 with grouped queries."""
    scores = spec.heads * shape.tokens * shape.sequence_length
    if spec.model_type in PLAIN_ATTENTION:
        return PLAIN_ATTENTION[spec.model_type] * (2 if shape.precision == "fp32" else 1) * scores
    if device == "cpu" or shape.precision == "bf16" or spec.heads == spec.kv_heads:
        return 0
    return (8 if shape.precision == "fp32" else 4) * scores


def loss_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> float:
    """The loss: one tile of logits at a time (trl's default), or all logits at once in four copies.

    Without Triton, as on a CPU, a tile is folded by plain operations: seven fp32 copies of it and a mask.
    """
    tokens = shape.tokens
    if not shape.chunked_loss:
        return 16 * spec.vocab_size * tokens
    width = 4 if shape.precision == "fp32" else 2
    rows = min(tokens, TILE_ROWS)
    folded = 29 * rows * min(spec.vocab_size, TILE_COLUMNS) if device == "cpu" else 0
    return rows * TILE_COLUMNS * width + folded + (4 + width) * tokens * spec.hidden_size


def head_gradient_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The chunked loss gathers a trainable head's gradient in fp32 and then casts it."""
    if shape.method != "full" or not shape.chunked_loss:
        return 0
    return (4 + (4 if shape.precision == "fp32" else 2)) * spec.vocab_size * spec.hidden_size
