"""What learning from preferences needs beyond a plain step: a bound, in memory and in arithmetic.

A pair is two rows. DPO and KTO also let the reference read every row without keeping activations: with an adapter that
is the base with the adapter off, of a full fine-tune a second copy of the weights, unless it was computed beforehand.
KTO reads a mismatched text beside each row, with both models. ORPO has no reference and computes all logits at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.models.spec import ModelSpec
from engine.plan import formulas
from engine.plan.weights import weight_bytes

if TYPE_CHECKING:
    from engine.plan.memory import Device, Memory, TrainingShape

SLACK_SHARE, SLACK_BYTES = 0.25, 64 << 20
"""Measured on a CPU: resident memory is up to 1.33 times the live tensors of a step of 500 MiB, 1.09 of one of 1300."""
FORWARD = 2.0  # floating-point operations per weight and token of reading alone; training takes 6 (4 with an adapter)


def as_plain_step(shape: TrainingShape) -> TrainingShape:
    """The supervised step that holds at least as many activations and logits as the step of this objective."""
    rows = shape.micro_batch_size * (1 if shape.objective in ("kto", "classify") else 2)
    return replace(
        shape, objective="sft", micro_batch_size=rows, chunked_loss=shape.objective != "orpo", direct_loss=False
    )


def with_reference(memory: Memory, spec: ModelSpec, shape: TrainingShape, device: Device) -> Memory:
    """The step with what the reference adds: its weights, and what it holds while it reads a batch."""
    extra = reference_bytes(spec, shape) + reading_bytes(spec, shape, device)
    return with_slack(grown(memory, {"reference": extra, "logits": _more_logits(spec, shape)}), device)


def _more_logits(spec: ModelSpec, shape: TrainingShape) -> float:
    """ORPO takes the logits of all rows for one loss and those of the chosen ones, shifted, for another, in fp32."""
    return 16.0 * spec.vocab_size * shape.tokens if shape.objective == "orpo" else 0.0


def grown(memory: Memory, changes: Mapping[str, float]) -> Memory:
    """`memory` with parts changed by so many bytes; it is no longer exact."""
    added = int(sum(changes.values()))
    parts = {name: int(memory.parts.get(name, 0) + changes.get(name, 0)) for name in {**memory.parts, **changes}}
    parts = {name: size for name, size in parts.items() if size}
    total = sum(parts.values())
    return replace(
        memory, allocated_bytes=memory.allocated_bytes + added,
        reserved_bytes=memory.reserved_bytes + total - memory.total_bytes, total_bytes=total, parts=parts, exact=False,
    )  # fmt: skip


def with_slack(memory: Memory, device: Device) -> Memory:
    """On a CPU what was freed stays with the process for a while, so that it holds more than its live tensors."""
    if device != "cpu":
        return memory
    return grown(memory, {"allocator": SLACK_SHARE * memory.total_bytes + SLACK_BYTES})


def reference_bytes(spec: ModelSpec, shape: TrainingShape) -> int:
    """The second copy of the weights that a full fine-tune holds beside the trained one."""
    held = shape.objective in ("dpo", "kto") and shape.method == "full" and shape.reference == "beside"
    return int(weight_bytes(spec, shape)) if held else 0


def reading_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> int:
    """One layer's passing values while a batch is read without gradients beside kept activations."""
    if shape.objective in ("orpo", "classify") or (shape.reference == "precomputed" and shape.objective == "dpo"):
        return 0
    plain = replace(as_plain_step(shape), gradient_checkpointing=False, method="full")
    return int(formulas.layer_bytes(spec, plain, device))


def passes(shape: TrainingShape) -> float:
    """How many passes over a batch are started in place of one that trains; a third of it is reading."""
    reading = 1 / 3 if shape.reference == "beside" else 0.0
    return {"dpo": 1 + reading, "kto": 1 + 1 / 3 + 2 * reading}.get(shape.objective, 1.0)


def work_factor(shape: TrainingShape) -> float:
    """How many times the arithmetic of a plain step of as many rows this objective takes."""
    training = (6.0 if shape.method == "full" else 4.0) + (2.0 if shape.gradient_checkpointing else 0.0)
    reading = FORWARD if shape.reference == "beside" else 0.0
    if shape.objective == "kto":  # the mismatched text: by the model, and by the reference
        return (training + reading + FORWARD + reading) / training
    if shape.objective == "dpo":
        return 2 * (training + reading) / training
    return 2.0 if shape.objective == "orpo" else 1.0
