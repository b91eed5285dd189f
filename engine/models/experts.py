"""Mixtures of experts: attention as in their dense relatives, experts as fused 3-D weights plus a router.

transformers 5 keeps the experts of all these as two 3-D parameters, not as linear layers: adapters on "all linear"
layers
pass them by and 4-bit loading leaves them in 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from engine.models.families import FAMILIES, Family, shape_of_family
from engine.models.shapes import Fields, LinearShape, Shape


def _without_mlp(shape: Shape) -> tuple[LinearShape, ...]:
    names = ("gate_proj", "up_proj", "down_proj")
    return tuple(linear for linear in shape.linears if linear.name not in names)


def _mixtral(fields: Fields) -> Shape:
    shape = shape_of_family(Family(), fields)
    count = fields.integer("num_local_experts", default=8)
    experts = shape.layers * count * 3 * shape.hidden * shape.intermediate
    router = shape.layers * count * shape.hidden
    return replace(shape, linears=_without_mlp(shape), experts=experts, expert_count=count, other=router)


def _sparse_layers(fields: Fields, layers: int) -> int:
    """How many blocks hold experts: every `decoder_sparse_step`-th that `mlp_only_layers` does not name."""
    step = fields.integer("decoder_sparse_step", default=1)
    dense = set(fields.config.get("mlp_only_layers") or ())
    return sum(1 for layer in range(layers) if layer not in dense and step and (layer + 1) % step == 0)


def _qwen_moe(family: Family, shared: bool) -> Callable[[Fields], Shape]:
    def shape_of(fields: Fields) -> Shape:
        shape = shape_of_family(family, fields)
        sparse = _sparse_layers(fields, shape.layers)
        count, width = fields.integer("num_experts", "num_local_experts"), fields.integer("moe_intermediate_size")
        hidden = shape.hidden
        linears = _without_mlp(shape)
        dense = shape.layers - sparse
        if dense:
            linears += tuple(replace(item, count=dense) for item in shape.linears if item.name.endswith(_MLP))
        if shared and sparse:
            inner = fields.integer("shared_expert_intermediate_size")
            linears += (
                LinearShape("shared_expert.gate_proj", hidden, inner, False, sparse),
                LinearShape("shared_expert.up_proj", hidden, inner, False, sparse),
                LinearShape("shared_expert.down_proj", inner, hidden, False, sparse),
                LinearShape("shared_expert_gate", hidden, 1, False, sparse),
            )
        experts = sparse * count * 3 * hidden * width
        return replace(
            shape,
            linears=linears,
            experts=experts,
            expert_count=count,
            other=sparse * count * hidden,
            intermediate=width,
        )

    return shape_of


_MLP = ("gate_proj", "up_proj", "down_proj")


def _olmoe(fields: Fields) -> Shape:
    shape = shape_of_family(FAMILIES["olmo2"], fields)
    count = fields.integer("num_experts")
    experts = shape.layers * count * 3 * shape.hidden * shape.intermediate
    router = shape.layers * count * shape.hidden
    return replace(shape, linears=_without_mlp(shape), experts=experts, expert_count=count, other=router)


def _gpt_oss(fields: Fields) -> Shape:
    family = Family(qkv_bias=True, out_bias=True, head_dim=64)
    shape = shape_of_family(family, fields)
    layers, hidden, inner = shape.layers, shape.hidden, shape.intermediate
    count = fields.integer("num_local_experts")
    experts = layers * count * (hidden * 2 * inner + 2 * inner + inner * hidden + hidden)
    other = layers * (count * hidden + count + shape.heads)  # router weight and bias, one attention sink per head
    return replace(shape, linears=_without_mlp(shape), experts=experts, expert_count=count, other=other)


EXPERT_SHAPES: dict[str, Callable[[Fields], Shape]] = {
    "mixtral": _mixtral,
    "qwen2_moe": _qwen_moe(Family(qkv_bias=True), shared=True),
    "qwen3_moe": _qwen_moe(replace(FAMILIES["qwen3"], head_dim=None), shared=False),
    "olmoe": _olmoe,
    "gpt_oss": _gpt_oss,
}
_CHOSEN_BY_DEFAULT = {"mixtral": 2, "qwen2_moe": 4, "qwen3_moe": 8, "olmoe": 8, "gpt_oss": 4}


def experts_per_token(config: Mapping[str, Any]) -> int:
    """How many experts each token goes through."""
    value = config.get("num_experts_per_tok", config.get("experts_per_token"))
    usual = _CHOSEN_BY_DEFAULT.get(str(config.get("model_type")), 0)
    return value if isinstance(value, int) and not isinstance(value, bool) else usual


def shared_expert_size(config: Mapping[str, Any]) -> int:
    """Inner size of the expert that every token goes through; 0 where there is none."""
    value = config.get("shared_expert_intermediate_size") if config.get("model_type") == "qwen2_moe" else 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
