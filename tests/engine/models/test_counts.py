"""Parameter counts by arithmetic: against published models' meta-device counts, and against small models built here."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.models.spec import ModelSpec, spec_from_config

COMMON = {
    "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

# model type -> what its config adds or changes; several of a type to reach each branch of the arithmetic
SMALL: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}), ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True, "head_dim": 24}),
    ("mistral", {}), ("ministral", {"head_dim": 16}), ("ministral3", {"head_dim": 16}), ("smollm3", {}),
    ("granite", {"attention_bias": True, "mlp_bias": True}), ("qwen2", {}), ("qwen2", {"tie_word_embeddings": True}),
    ("qwen3", {"head_dim": 16}), ("qwen3", {"attention_bias": True}), ("seed_oss", {"head_dim": 16}),
    ("gemma", {"head_dim": 16}), ("gemma2", {"head_dim": 16}), ("gemma3_text", {"head_dim": 16}), ("gemma", {}),
    ("phi3", {}), ("phi", {}), ("phi", {"qk_layernorm": True}), ("olmo", {}), ("olmo2", {}), ("olmo3", {}),
    ("cohere", {}), ("cohere", {"use_qk_norm": True, "attention_bias": True}), ("cohere2", {}),
    ("stablelm", {}), ("stablelm", {"use_qkv_bias": True, "qk_layernorm": True}),
    ("stablelm", {"use_parallel_residual": True}), ("starcoder2", {}), ("starcoder2", {"use_bias": False}),
    ("nemotron", {}), ("gpt_neox", {}), ("gpt_neox", {"attention_bias": False}),
    ("gpt2", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_inner": 96, "n_positions": 32}),
    ("gptj", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 32, "rotary_dim": 8}),
    ("falcon", {}), ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2, "bias": True}),
    ("falcon", {"multi_query": False, "parallel_attn": False, "ffn_hidden_size": 80}),
    ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1}),
    ("opt", {"ffn_dim": 96, "word_embed_proj_dim": 64}), ("opt", {"ffn_dim": 96, "word_embed_proj_dim": 32}),
    ("opt", {"ffn_dim": 96, "word_embed_proj_dim": 32, "do_layer_norm_before": False}),
    ("mixtral", {"num_local_experts": 4}), ("qwen3_moe", {**EXPERTS, "head_dim": 16}),
    ("qwen3_moe", {**EXPERTS, "mlp_only_layers": [1], "decoder_sparse_step": 1}),
    ("qwen2_moe", {**EXPERTS, "shared_expert_intermediate_size": 48, "decoder_sparse_step": 2}),
    ("olmoe", {"num_experts": 4, "num_experts_per_tok": 2}),
    ("gpt_oss", {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}),
]  # fmt: skip


def configs(shared: Path) -> list[tuple[dict[str, str], dict[str, Any]]]:
    folder = shared / "data" / "model-configs"
    with (folder / "index.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [(row, json.loads((folder / row["name"] / "config.json").read_text(encoding="utf-8"))) for row in rows]


def test_published_models_are_counted_exactly_or_refused(shared: Path) -> None:
    exact, refused = 0, []
    for row, config in configs(shared):
        try:
            spec = spec_from_config(config, row["name"])
        except UserError as error:
            assert error.what and error.where == row["name"] and error.fix
            refused.append(row["name"])
            continue
        assert spec.exact, f"{row['name']} is only estimated"
        assert str(spec.parameters) == row["meta_params"], row["name"]
        assert sum(spec.parts.values()) == spec.parameters
        exact += 1
    assert exact >= 96, f"only {exact} models counted; refused: {refused}"


@pytest.mark.xdist_group("torch")
def test_small_models_of_every_family_are_counted_as_transformers_builds_them() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    wrong = []
    for model_type, changes in SMALL:
        config = transformers.AutoConfig.for_model(model_type, **{**COMMON, **changes})
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(config)
        model.tie_weights()
        spec = spec_from_config(config.to_dict(), model_type)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        kinds = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)
        head = model.get_output_embeddings()
        linear = sum(part.weight.numel() for part in model.modules() if isinstance(part, kinds) and part is not head)
        if (spec.parameters, spec.linear_parameters) != (parameters, linear):
            wrong.append((model_type, changes, spec.parameters - parameters, spec.linear_parameters - linear))
    assert not wrong


def llama(**changes: Any) -> ModelSpec:
    return spec_from_config({"model_type": "llama", "architectures": ["LlamaForCausalLM"], **COMMON, **changes}, "here")


def test_the_parts_and_sizes_of_a_model_are_told() -> None:
    spec = llama(torch_dtype="torch.bfloat16")
    assert spec.parts["embeddings"] == spec.parts["lm_head"] == 320 * 64
    assert (spec.query_size, spec.key_size, spec.context_length, spec.dtype) == (64, 32, 128, "bfloat16")
    assert spec.linear_parameters == 3 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 96)
    assert "lm_head" not in llama(tie_word_embeddings=True).parts


def test_quantizations_are_recognised() -> None:
    four = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    assert llama(quantization_config=four).quantization == "nf4"
    assert llama(quantization_config={"load_in_8bit": True}).quantization == "int8"
    assert llama(quantization_config={"quant_method": "gptq", "bits": 4}).quantization == "gptq"
    assert llama().quantization is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "llama", "hidden_size": 8}, "lacks"),
        ({**COMMON, "model_type": "llama", "hidden_size": "64"}, "no whole number"),
        ({**COMMON, "model_type": "qwen2_vl", "vision_config": {}}, "images or sounds"),
        ({**COMMON, "model_type": "homemade", "auto_map": {"AutoModelForCausalLM": "x.Y"}}, "never run"),
        ({**COMMON, "model_type": "bert", "architectures": ["BertForMaskedLM"]}, "not a model that writes text"),
        ({**COMMON, "model_type": "mamba2"}, "does not know how"),
        ({}, "does not know how"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_reason(config: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        spec_from_config(config, "folder/config.json")
    assert words in caught.value.what and caught.value.where == "folder/config.json" and caught.value.fix


def test_a_plain_decoder_of_another_type_is_estimated_and_says_so() -> None:
    spec = spec_from_config({**COMMON, "model_type": "helium"}, "here")
    assert not spec.exact and "estimated" in spec.note and spec.parameters == llama().parameters
