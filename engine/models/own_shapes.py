"""Decoders that no Family describes: they name their projections or count their parts in a way of their own.

Read from the model classes of transformers 5.23 and checked in the tests against models built on the meta device.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.models.shapes import Fields, LinearShape, Shape


def _gpt2(fields: Fields) -> Shape:
    hidden, layers = fields.integer("n_embd", "hidden_size"), fields.integer("n_layer", "num_hidden_layers")
    heads = fields.integer("n_head", "num_attention_heads")
    inner = fields.integer("n_inner", default=4 * hidden)
    vocab = fields.integer("vocab_size")
    positions = fields.integer("n_positions", "max_position_embeddings", default=1024)
    tied = fields.flag("tie_word_embeddings", True)
    linears = (
        LinearShape("attn.c_attn", hidden, 3 * hidden, True, layers),
        LinearShape("attn.c_proj", hidden, hidden, True, layers),
        LinearShape("mlp.c_fc", hidden, inner, True, layers),
        LinearShape("mlp.c_proj", inner, hidden, True, layers),
    )
    return Shape(
        hidden, layers, heads, heads, hidden // heads, inner, vocab, tied, positions, linears,
        norms=(2 * layers + 1) * 2 * hidden, embeddings=vocab * hidden,
        lm_head=0 if tied else vocab * hidden, other=positions * hidden,
    )  # fmt: skip


def _gpt_neox(fields: Fields) -> Shape:
    hidden, layers = fields.integer("hidden_size"), fields.integer("num_hidden_layers")
    heads, inner = fields.integer("num_attention_heads"), fields.integer("intermediate_size")
    vocab, tied = fields.integer("vocab_size"), fields.flag("tie_word_embeddings", False)
    bias = fields.flag("attention_bias", True)
    linears = (
        LinearShape("query_key_value", hidden, 3 * hidden, bias, layers),
        LinearShape("dense", hidden, hidden, bias, layers),
        LinearShape("dense_h_to_4h", hidden, inner, True, layers),
        LinearShape("dense_4h_to_h", inner, hidden, True, layers),
    )
    return Shape(
        hidden, layers, heads, heads, hidden // heads, inner, vocab, tied,
        fields.integer("max_position_embeddings", default=2048), linears,
        norms=(2 * layers + 1) * 2 * hidden, embeddings=vocab * hidden, lm_head=0 if tied else vocab * hidden,
    )  # fmt: skip


def _gptj(fields: Fields) -> Shape:
    hidden, layers = fields.integer("n_embd", "hidden_size"), fields.integer("n_layer", "num_hidden_layers")
    heads = fields.integer("n_head", "num_attention_heads")
    inner = fields.integer("n_inner", default=4 * hidden)
    vocab, tied = fields.integer("vocab_size"), fields.flag("tie_word_embeddings", False)
    linears = (
        *(LinearShape(name, hidden, hidden, False, layers) for name in ("q_proj", "k_proj", "v_proj", "out_proj")),
        LinearShape("fc_in", hidden, inner, True, layers),
        LinearShape("fc_out", inner, hidden, True, layers),
    )
    return Shape(
        hidden, layers, heads, heads, hidden // heads, inner, vocab, tied,
        fields.integer("n_positions", "max_position_embeddings", default=2048), linears,
        norms=(layers + 1) * 2 * hidden, embeddings=vocab * hidden,
        lm_head=(0 if tied else vocab * hidden) + vocab,
    )  # fmt: skip


def _falcon(fields: Fields) -> Shape:
    hidden, layers = fields.integer("hidden_size"), fields.integer("num_hidden_layers", "n_layer")
    heads = fields.integer("num_attention_heads", "n_head")
    new, single = fields.flag("new_decoder_architecture", False), fields.flag("multi_query", True)
    kv_heads = fields.integer("num_kv_heads", "n_head_kv", default=heads) if new else (1 if single else heads)
    head_dim, bias = hidden // heads, fields.flag("bias", False)
    inner = fields.integer("ffn_hidden_size", default=4 * hidden)
    vocab, tied = fields.integer("vocab_size"), fields.flag("tie_word_embeddings", True)
    linears = (
        LinearShape("query_key_value", hidden, hidden + 2 * kv_heads * head_dim, bias, layers),
        LinearShape("dense", hidden, hidden, bias, layers),
        LinearShape("dense_h_to_4h", hidden, inner, bias, layers),
        LinearShape("dense_4h_to_h", inner, hidden, bias, layers),
    )
    parallel = fields.flag("parallel_attn", True)
    in_parallel = fields.integer("num_ln_in_parallel_attn", default=2 if new else 1)
    per_block = (2 if new and in_parallel == 2 else 1) if new or parallel else 2
    return Shape(
        hidden, layers, heads, kv_heads, head_dim, inner, vocab, tied,
        fields.integer("max_position_embeddings", default=2048), linears,
        norms=(per_block * layers + 1) * 2 * hidden, embeddings=vocab * hidden, lm_head=0 if tied else vocab * hidden,
    )  # fmt: skip


def _opt(fields: Fields) -> Shape:
    hidden, layers = fields.integer("hidden_size"), fields.integer("num_hidden_layers")
    heads, inner = fields.integer("num_attention_heads"), fields.integer("ffn_dim")
    vocab, width = fields.integer("vocab_size"), fields.integer("word_embed_proj_dim", default=hidden)
    tied, bias = fields.flag("tie_word_embeddings", True), fields.flag("enable_bias", True)
    positions = fields.integer("max_position_embeddings", default=2048)
    linears = (
        *(LinearShape(name, hidden, hidden, bias, layers) for name in ("q_proj", "k_proj", "v_proj", "out_proj")),
        LinearShape("fc1", hidden, inner, bias, layers),
        LinearShape("fc2", inner, hidden, bias, layers),
    )
    if width != hidden:
        linears += (
            LinearShape("project_in", width, hidden, False, 1),
            LinearShape("project_out", hidden, width, False, 1),
        )
    affine = 2 if fields.flag("layer_norm_elementwise_affine", True) else 0
    final = fields.flag("do_layer_norm_before", True) and not fields.flag("_remove_final_layer_norm", False)
    return Shape(
        hidden, layers, heads, heads, hidden // heads, inner, vocab, tied, positions, linears,
        norms=(2 * layers + int(final)) * affine * hidden, embeddings=vocab * width,
        lm_head=0 if tied else vocab * width, other=(positions + 2) * hidden,
    )  # fmt: skip


OWN_SHAPES: dict[str, Callable[[Fields], Shape]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "gptj": _gptj,
    "falcon": _falcon,
    "opt": _opt,
}
