"""How the families of decoders that resemble Llama are built: a description each, and one arithmetic for all of them.

Read from the model classes of transformers 5.23 and checked in the tests against models built on the meta device.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.models.shapes import Fields, LinearShape, Shape


@dataclass(frozen=True)
class Family:
    """How a decoder of separate (or fused) projections differs from Llama, whose description is all defaults.

    `qkv_bias`, `out_bias`, `mlp_bias`: True, False, or the name of the config key that decides (with `bias_default`).
    `norm_vectors`: vectors of the hidden size per block and at the end (a layer norm with a bias counts 2 per norm).
    `qk_norm`: "" none, "head" one vector per head size for q and k, "full" over all heads, or a config key that turns
    "full" on.
    """

    tied: bool = False
    gated: bool = True
    fused_qkv: str = ""
    fused_gate_up: bool = False
    out_name: str = "o_proj"
    mlp_names: tuple[str, ...] = ("gate_proj", "up_proj", "down_proj")
    qkv_bias: bool | str = False
    out_bias: bool | str = False
    mlp_bias: bool | str = False
    bias_default: bool = False
    norms_per_block: int = 2
    vectors_per_norm: int = 1
    qk_norm: str = ""
    qk_norm_key: str = ""
    head_bias: bool = False
    head_dim: int | None = None


_BIASED = Family(qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias")

FAMILIES: dict[str, Family] = {
    "llama": _BIASED,
    "mistral": Family(),
    "ministral": Family(),
    "ministral3": Family(),
    "smollm3": Family(tied=True, qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias"),
    "granite": _BIASED,
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(qkv_bias="attention_bias", out_bias="attention_bias", qk_norm="head", head_dim=128),
    "seed_oss": Family(qkv_bias="attention_bias", out_bias="attention_out_bias", mlp_bias="mlp_bias", head_dim=128),
    "gemma": Family(tied=True, qkv_bias="attention_bias", out_bias="attention_bias", head_dim=256),
    "gemma2": Family(
        tied=True, qkv_bias="attention_bias", out_bias="attention_bias", norms_per_block=4, head_dim=256
    ),
    "gemma3_text": Family(
        tied=True, qkv_bias="attention_bias", out_bias="attention_bias", norms_per_block=4, qk_norm="head", head_dim=256
    ),
    "phi3": Family(fused_qkv="qkv_proj", fused_gate_up=True),
    "phi": Family(
        gated=False, out_name="dense", mlp_names=("fc1", "fc2"), qkv_bias=True, out_bias=True, mlp_bias=True,
        norms_per_block=1, vectors_per_norm=2, head_bias=True, qk_norm_key="qk_layernorm",
    ),
    "olmo": Family(qkv_bias="attention_bias", out_bias="attention_bias", vectors_per_norm=0),
    "olmo2": Family(qkv_bias="attention_bias", out_bias="attention_bias", qk_norm="full"),
    "olmo3": Family(qkv_bias="attention_bias", out_bias="attention_bias", qk_norm="full"),
    "cohere": Family(
        tied=True, qkv_bias="attention_bias", out_bias="attention_bias", norms_per_block=1,
        qk_norm="full", qk_norm_key="use_qk_norm",
    ),
    "cohere2": Family(tied=True, qkv_bias="attention_bias", out_bias="attention_bias", norms_per_block=1),
    "stablelm": Family(qkv_bias="use_qkv_bias", vectors_per_norm=2, qk_norm="full", qk_norm_key="qk_layernorm"),
    "starcoder2": Family(
        tied=True, gated=False, mlp_names=("c_fc", "c_proj"), qkv_bias="use_bias", out_bias="use_bias",
        mlp_bias="use_bias", bias_default=True, vectors_per_norm=2,
    ),
    "nemotron": Family(
        gated=False, mlp_names=("up_proj", "down_proj"), qkv_bias="attention_bias", out_bias="attention_bias",
        mlp_bias="mlp_bias", vectors_per_norm=2,
    ),
}  # fmt: skip


def shape_of_family(family: Family, fields: Fields) -> Shape:
    """The shape of a dense decoder described by a Family. UserError when a needed number is missing."""
    hidden, layers = fields.integer("hidden_size"), fields.integer("num_hidden_layers")
    heads = fields.integer("num_attention_heads")
    kv_heads = fields.integer("num_key_value_heads", default=heads)
    head_dim = fields.integer("head_dim", default=family.head_dim or hidden // max(heads, 1))
    intermediate, vocab = fields.integer("intermediate_size"), fields.integer("vocab_size")
    tied = fields.flag("tie_word_embeddings", family.tied)
    query, key = heads * head_dim, kv_heads * head_dim
    linears = _attention_linears(family, fields, hidden, query, key, layers)
    linears += _mlp_linears(family, fields, hidden, intermediate, layers)
    per_block = 1 if fields.flag("use_parallel_residual", False) else family.norms_per_block  # StableLM's variant
    norms = (per_block * layers + 1) * family.vectors_per_norm * hidden
    norms += layers * _qk_norm_parameters(family, fields, query, key, head_dim)
    return Shape(
        hidden, layers, heads, kv_heads, head_dim, intermediate, vocab, tied,
        fields.integer("max_position_embeddings", default=2048), linears, norms,
        embeddings=vocab * hidden, lm_head=(0 if tied else vocab * hidden) + (vocab if family.head_bias else 0),
    )  # fmt: skip


def _attention_linears(
    family: Family, fields: Fields, hidden: int, query: int, key: int, layers: int
) -> tuple[LinearShape, ...]:
    """q, k, v (or their fused form) and the output projection."""
    bias = _bias(family, fields, family.qkv_bias)
    out = LinearShape(family.out_name, query, hidden, _bias(family, fields, family.out_bias), layers)
    if family.fused_qkv:
        return LinearShape(family.fused_qkv, hidden, query + 2 * key, bias, layers), out
    return (
        LinearShape("q_proj", hidden, query, bias, layers),
        LinearShape("k_proj", hidden, key, bias, layers),
        LinearShape("v_proj", hidden, key, bias, layers),
        out,
    )


def _mlp_linears(
    family: Family, fields: Fields, hidden: int, intermediate: int, layers: int
) -> tuple[LinearShape, ...]:
    """gate, up, down; their fused form; or the two of a plain MLP."""
    bias = _bias(family, fields, family.mlp_bias)
    if family.fused_gate_up:
        return (
            LinearShape("gate_up_proj", hidden, 2 * intermediate, bias, layers),
            LinearShape("down_proj", intermediate, hidden, bias, layers),
        )
    *inner, last = family.mlp_names
    return (
        *(LinearShape(name, hidden, intermediate, bias, layers) for name in inner),
        LinearShape(last, intermediate, hidden, bias, layers),
    )


def _qk_norm_parameters(family: Family, fields: Fields, query: int, key: int, head_dim: int) -> int:
    """Parameters of the norms on queries and keys in one block."""
    if family.qk_norm_key and not fields.flag(family.qk_norm_key, False):
        return 0
    if family.qk_norm == "head":
        return 2 * head_dim
    if family.qk_norm == "full":
        return query + key
    return 4 * head_dim if family.qk_norm_key else 0  # Phi: two layer norms with a bias over the head size


def _bias(family: Family, fields: Fields, rule: bool | str) -> bool:
    return rule if isinstance(rule, bool) else fields.flag(rule, family.bias_default)
