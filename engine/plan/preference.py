"""What learning from preferences needs beyond a plain step, in memory and in arithmetic.

A pair is two rows. DPO and KTO also let the reference read every row without keeping activations: with an adapter that
is the base with the adapter off, of a full fine-tune a second copy of the weights, unless it was computed beforehand.
KTO reads a mismatched text beside each row, with both models. ORPO has no reference and computes all logits at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.models.spec import ModelSpec
from engine.plan.formulas import TILE_COLUMNS, TILE_ROWS
from engine.plan.weights import weight_bytes, weight_width

if TYPE_CHECKING:
    from engine.plan.memory import Device, Memory, TrainingShape

SLACK_SHARE, SLACK_BYTES = 0.25, 64 << 20
"""Measured on a CPU: resident memory is up to 1.33 times the live tensors of a step of 500 MiB, 1.09 of one of 1300."""
ODDS_SLACK_SHARE = 0.5
"""Of ORPO it was 1.7 times those of a step of 770 MiB, see `tests/bench/RESULTS.md`."""
ODDS_LOGITS = 14.0
"""Bytes per logit where ORPO takes its loss: in fp32 all logits, those of the better answers once more and their
logarithms, and the gradient of single rows beside the sum of them (simulated: 14.000 in 80 cases)."""
HEAD_LOGITS = 10.0
"""The same where the head's weight gets its gradient."""
FORWARD = 2.0  # floating-point operations per weight and token of reading alone; training takes 6 (4 with an adapter)


def rows_at_once(shape: TrainingShape) -> int:
    """Rows that go through the model at once: a pair is two."""
    return shape.micro_batch_size * (2 if shape.objective in ("dpo", "orpo") else 1)


def reads_reference(shape: TrainingShape) -> bool:
    """Whether every step lets a reference read its rows; computed once beforehand, its numbers come with the rows."""
    return shape.objective in ("dpo", "kto") and shape.reference == "beside"


def holds_reference(shape: TrainingShape) -> bool:
    """Whether a second copy of the weights is held; with an adapter the reference is the base with the adapter off."""
    return reads_reference(shape) and shape.method == "full"


def as_plain_step(shape: TrainingShape) -> TrainingShape:
    """The supervised step that takes as many rows through the layers as the step of this objective."""
    return replace(shape, objective="sft", micro_batch_size=rows_at_once(shape), direct_loss=False)


def without_head(spec: ModelSpec) -> ModelSpec:
    """The model as a classifier has it: without its output head; that for the labels in its place weighs nothing."""
    parts = {name: size for name, size in spec.parts.items() if name != "lm_head"}
    gone = spec.parts.get("lm_head", 0)
    return replace(spec, parts=parts, parameters=spec.parameters - gone, tied_embeddings=False)


Moments = list[tuple[str, dict[str, float]]]


def moments_of(plain: Moments, spec: ModelSpec, shape: TrainingShape, device: Device, gradients: float) -> Moments:
    """The moments of this objective's step from those of the supervised one; `gradients` are all of them.

    DPO and KTO take the same chunked loss, and let rows be read without gradients while all activations are kept. ORPO
    and classification have no chunked loss; ORPO has all logits instead.
    """
    largest = max(parts.get("loss", 0.0) for _, parts in plain)
    at_loss = [parts for _, parts in plain if 0 < largest / 2 <= parts.get("loss", 0.0)]
    kept = min((parts.get("activations", 0.0) for parts in at_loss), default=0.0)
    held = gradients if shape.accumulation > 1 else 0.0
    if shape.objective in ("dpo", "kto"):
        return plain + (_reading(spec, shape, device, kept, held) if reads_reference(shape) else [])
    bare = [(phase, {name: size for name, size in parts.items() if name != "loss"}) for phase, parts in plain]
    if shape.objective == "orpo":
        return bare + _odds(spec, shape, kept, held, gradients)
    head = _head_bytes(spec, shape)
    return [(phase, {**parts, "gradients": max(held, parts.get("gradients", 0.0) - head)}) for phase, parts in bare]


def _head_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The gradient of the output head; nothing where it is not trained."""
    return weight_width(shape) * spec.vocab_size * spec.hidden_size if shape.method == "full" else 0.0


def _odds(spec: ModelSpec, shape: TrainingShape, kept: float, held: float, gradients: float) -> Moments:
    """Where ORPO takes its loss, and with a trained head where that gets its gradient and meets the embeddings'."""
    logits = spec.vocab_size * rows_at_once(shape) * (shape.sequence_length - 1)
    found = [("backward", {"gradients": held, "activations": kept, "logits": ODDS_LOGITS * logits})]
    if shape.method != "full":
        return found
    head = _head_bytes(spec, shape)
    cast = 2 * spec.vocab_size * spec.hidden_size if shape.precision == "fp16" else 0  # the head in 16 bits
    found[0][1]["activations"] += cast
    found.append(("backward", {"gradients": held + head, "activations": kept, "logits": HEAD_LOGITS * logits}))
    if spec.tied_embeddings:
        found.append(("backward", {"gradients": gradients, "workspace": 2 * head}))
    return found


def _reading(spec: ModelSpec, shape: TrainingShape, device: Device, kept: float, held: float) -> Moments:
    """Rows read without gradients beside all that is kept: in the middle of a layer, and at their loss."""
    width, tokens = 4 if shape.precision == "fp32" else 2, rows_at_once(shape) * shape.sequence_length
    tile = min(tokens, TILE_ROWS) * TILE_COLUMNS * width if device == "cuda" else 0
    # hidden states: kept for the loss, read, brought to fp32, picked out
    hidden = (5 if shape.method == "full" else 4.5) * width * tokens * spec.hidden_size
    return [
        ("forward", {"gradients": held, "activations": kept, "workspace": reading_bytes(spec, shape)}),
        ("forward", {"gradients": held, "activations": kept + hidden, "loss": tile}),
    ]


def reading_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The passing values of one layer that is read without gradients, beside a 4-bit weight unpacked for it."""
    width = 4 if shape.precision == "fp32" else 2
    inner = spec.intermediate_size * max(1, spec.experts_per_token) + spec.shared_expert_size
    tokens = rows_at_once(shape) * shape.sequence_length
    unpacked = spec.hidden_size * max(inner, spec.query_size) if shape.method == "qlora" else 0
    return width * (tokens * (3 * inner + 4 * spec.hidden_size) + unpacked)


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


def with_slack(memory: Memory, device: Device, share: float = SLACK_SHARE) -> Memory:
    """On a CPU what was freed stays with the process for a while, so that it holds more than its live tensors: much so
    where blocks of a few MiB come and go, as in ORPO's loss, which goes row by row."""
    if device != "cpu":
        return memory
    return grown(memory, {"allocator": share * memory.total_bytes + SLACK_BYTES})


def with_odds_slack(memory: Memory, device: Device) -> Memory:
    """The same for a step of ORPO."""
    return with_slack(memory, device, ODDS_SLACK_SHARE)


def reference_bytes(spec: ModelSpec, shape: TrainingShape) -> float:
    """The second copy of the weights that a full fine-tune holds beside the trained one."""
    return weight_bytes(spec, shape) if holds_reference(shape) else 0.0


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
