"""The estimate: what one training step needs, in closed form, instantly and without torch.

What stays between steps is counted exactly. What a step adds comes from tables that were compiled from the simulator
(assets/plan), and from formulas for structures without a table. The peak is the largest of a few moments that never
coincide: in the forward pass, in the backward pass, and at the optimizer's step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.models.spec import ModelSpec
from engine.plan import extras, formulas, preference, table, unsloth
from engine.plan.adapters import target_group
from engine.plan.weights import adapter_bytes, gradient_bytes, optimizer_bytes, step_temporary_bytes, weight_bytes

Device = Literal["cuda", "cpu"]

MIB = 1 << 20
# CUDA context outside the allocator: 141 MiB measured on a T4, 400-550 MiB said of A100 and H100.
CONTEXT_BYTES = 500 * MIB
CUBLAS_BYTES = 2 * 8_519_680  # one workspace per cuBLAS handle: the main thread's and the autograd thread's
RESERVED_SHARE = 1.03  # what the allocator holds beyond live tensors, as a share: 2-4 % in simulated runs


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
    objective: str = "sft"
    reference: str = "beside"
    direct_loss: bool = True
    layers: str = ""
    dora: bool = False
    train_embeddings: bool = False
    backend: str = "trl"

    @property
    def tokens(self) -> int:
        """Tokens of one micro-batch."""
        return self.micro_batch_size * self.sequence_length


@dataclass(frozen=True)
class Memory:
    """Bytes on the training device. `allocated` is live tensors, `reserved` what the allocator holds for them,
    `total` adds
    the CUDA context; `parts` sums to `total`. `kind` says how it was found: "estimate", "simulation" or "rehearsal".
    `exact` is True where a compiled table was at hand for this very step, and for what was simulated or measured."""

    kind: str
    allocated_bytes: int
    reserved_bytes: int
    total_bytes: int
    parts: Mapping[str, int]
    moment: str = ""
    exact: bool = False

    @property
    def certainty(self) -> str:
        """`kind` in words, with "less certain" for an estimate by formula."""
        return self.kind if self.exact else f"{self.kind}, less certain"


def estimate_memory(
    spec: ModelSpec, shape: TrainingShape, device: Device = "cuda", context_bytes: int = CONTEXT_BYTES
) -> Memory:
    """The peak of one training step. UserError when `target_modules` names layers that the model does not have.

    Other objectives than writing answers: `engine.plan.preference`. With experts' settings it is an upper bound, see
    `engine.plan.extras`.
    """
    if extras.has_extras(shape):
        plain = estimate_memory(spec, extras.without_extras(shape), device, context_bytes)
        return extras.with_extras(plain, spec, shape, device)
    if shape.backend == "unsloth":
        plain = estimate_memory(spec, replace(shape, backend="trl"), device, context_bytes)
        return unsloth.corrected(plain, spec, shape)
    moments, exact = _step_moments(spec, shape, device)
    moment, extra = max(moments, key=lambda pair: sum(pair[1].values()))
    static = _static(spec, shape, device)
    names = dict.fromkeys((*static, *extra))
    parts = {name: int(static.get(name, 0) + extra.get(name, 0)) for name in names}
    parts = {name: size for name, size in parts.items() if size > 0}
    allocated = sum(parts.values())
    if device == "cpu":
        memory = Memory("estimate", allocated, allocated, allocated, parts, moment, exact)
        return preference.with_odds_slack(memory, device) if shape.objective == "orpo" else memory
    reserved = int(allocated * RESERVED_SHARE)
    parts |= {"allocator": reserved - allocated, "context": context_bytes}
    return Memory("estimate", allocated, reserved, reserved + context_bytes, parts, moment, exact)


def _static(spec: ModelSpec, shape: TrainingShape, device: Device) -> dict[str, float]:
    """What stays between steps."""
    spec = preference.without_head(spec) if shape.objective == "classify" else spec
    return {
        "weights": weight_bytes(spec, shape), "reference": preference.reference_bytes(spec, shape),
        "adapters": adapter_bytes(spec, shape), "optimizer": optimizer_bytes(spec, shape, device),
        "workspace": CUBLAS_BYTES if device == "cuda" else 0,
    }  # fmt: skip


def _step_moments(
    spec: ModelSpec, shape: TrainingShape, device: Device
) -> tuple[list[tuple[str, dict[str, float]]], bool]:
    """The moments of a step that can be its peak, beside what stays, and whether they are exact."""
    spec = preference.without_head(spec) if shape.objective == "classify" else spec
    gradients = gradient_bytes(spec, shape)
    if shape.objective == "sft":
        moments, exact = _moments(spec, shape, device, gradients)
    else:
        moments, exact = _moments(spec, preference.as_plain_step(shape), device, gradients)
        moments = preference.moments_of(moments, spec, shape, device, gradients)
        exact = exact and shape.objective in ("dpo", "kto")
    return [*moments, ("step", {"gradients": gradients, "workspace": step_temporary_bytes(spec, shape)})], exact


def _moments(
    spec: ModelSpec, shape: TrainingShape, device: Device, gradients: float
) -> tuple[list[tuple[str, dict[str, float]]], bool]:
    """The moments of a supervised step, and whether they are exact."""
    compiled = _compiled_moments(spec, shape, device, gradients)
    moments, exact = compiled if compiled is not None else (list(formulas.moments(spec, shape, device)), False)
    if shape.chunked_loss and shape.direct_loss and formulas.takes_direct_loss(spec.vocab_size, device):
        return _with_direct_loss(moments, formulas.direct_loss_bytes(spec, shape)), False
    return moments, exact


def _with_direct_loss(
    moments: list[tuple[str, dict[str, float]]], direct_bytes: float
) -> list[tuple[str, dict[str, float]]]:
    """The moments of the chunked loss with the direct one in its place, which is never larger."""
    return [(phase, {name: min(size, direct_bytes) if name == "loss" else size for name, size in parts.items()})
            for phase, parts in moments]  # fmt: skip


def needs_mask(spec: ModelSpec, shape: TrainingShape) -> bool:
    """True when attention gets a mask: rows of different lengths in a batch, or a sliding window shorter than the
    rows."""
    return preference.rows_at_once(shape) > 1 or 0 < spec.sliding_window < shape.sequence_length


def _compiled_moments(
    spec: ModelSpec, shape: TrainingShape, device: Device, gradients: float
) -> tuple[list[tuple[str, dict[str, float]]], bool] | None:
    """The moments from the compiled table and whether it is this very step's (else a little more than it needs); None
    without one. Accumulated gradients live through the whole step. The tables were compiled from sizes that models
    have: of one whose MLP is narrower than its hidden size they are up to 11 % off, and not called exact."""
    if not spec.exact:
        return None
    group, same = ("", True) if shape.method == "full" else target_group(spec, shape.target_modules)
    choices = [(group, same)] if not group else [(group, same), ("", False)]
    for targets, exact in choices:
        key = table.table_key(
            shape.method, spec.tied_embeddings, device, shape.precision, shape.gradient_checkpointing,
            needs_mask(spec, shape), targets, shape.chunked_loss,
        )  # fmt: skip
        found = table.moments(spec, key, shape.micro_batch_size, shape.sequence_length, shape.rank)
        if found is not None:
            held = gradients if shape.accumulation > 1 else 0.0
            exact = exact and not spec.experts and spec.intermediate_size >= spec.hidden_size
            return [(moment.phase, _holding(moment.parts, held)) for moment in found], exact
    return None


def _holding(parts: Mapping[str, float], held: float) -> dict[str, float]:
    """`parts` with at least the accumulated gradients: a table of more targets than asked for can hold more already."""
    return {**parts, "gradients": max(held, parts.get("gradients", 0.0))}


def memory_dict(memory: Memory) -> dict[str, Any]:
    """A memory as JSON, in the form of a plan."""
    return {
        "kind": memory.kind,
        "certainty": memory.certainty,
        "allocated_bytes": memory.allocated_bytes,
        "reserved_bytes": memory.reserved_bytes,
        "total_bytes": memory.total_bytes,
        "moment": memory.moment,
        "parts": dict(memory.parts),
    }


def memory_of(fields: Mapping[str, Any]) -> Memory:
    """What `memory_dict` wrote, read back. It was simulated or measured, so it is exact."""
    return Memory(
        fields["kind"],
        int(fields["allocated_bytes"]),
        int(fields["reserved_bytes"]),
        int(fields["total_bytes"]),
        {str(name): int(size) for name, size in fields["parts"].items()},
        str(fields.get("moment", "")),
        exact=True,
    )
