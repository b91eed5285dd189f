"""A model as numbers, from its config.json alone: no weights, no torch.

For the families described here the parameter count is exact; for an unknown plain decoder it is an estimate and says
so;
anything else is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from engine.errors import UserError
from engine.models.experts import EXPERT_SHAPES, experts_per_token, shared_expert_size
from engine.models.families import FAMILIES, shape_of_family
from engine.models.own_shapes import OWN_SHAPES
from engine.models.shapes import Fields, LinearShape, Shape
from engine.models.variants import rotary_size, sliding_window, variant_of

ATTENTION_NAMES = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "query_key_value", "dense", "out_proj", "attn.")
# Plain decoders that transformers 5.23 has classes for and that are not described here: counted like a Llama.
ESTIMATED_TYPES = frozenset(
    ("apertus", "arcee", "cwm", "ernie4_5", "exaone4", "glm", "glm4", "granite_swa", "helium", "hunyuan_v1_dense")
    + ("hyperclovax", "internlm3", "iquestcoder", "jais2", "mellum", "nanochat", "vaultgemma", "youtu")
)
UNUSUAL_KEYS = (
    "kv_lora_rank", "n_routed_experts", "num_experts", "num_local_experts", "moe_intermediate_size", "mamba_num_heads",
    "ssm_cfg", "conv_kernel", "linear_num_value_heads", "hybrid_override_pattern", "is_encoder_decoder",
)  # fmt: skip


@dataclass(frozen=True)
class ModelSpec:
    """Sizes of a model. `parts` sums to `parameters`; `linear_parameters` are the weights (without biases) of the
    linear
    layers in the blocks: what adapters attach to and what 4-bit loading quantizes. `exact` is False for an estimate."""

    architecture: str
    model_type: str
    parameters: int
    parts: Mapping[str, int]
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    tied_embeddings: bool
    context_length: int
    dtype: str
    quantization: str | None
    experts: int
    linear_parameters: int
    linears: tuple[LinearShape, ...] = ()
    exact: bool = True
    note: str = ""
    rotary_size: int = 0
    sliding_window: int = 0
    variant: str = ""
    experts_per_token: int = 0
    shared_expert_size: int = 0

    @property
    def query_size(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def key_size(self) -> int:
        """Width of all key heads together."""
        return self.kv_heads * self.head_dim


OWN_CODE_NOTE = (
    'Its repository brings Python code, which is never run: the class that transformers has for "{}" is used instead.'
)


def spec_from_config(config: Mapping[str, Any], where: str) -> ModelSpec:
    """The sizes of the model that a config.json describes; `where` names the file in messages.

    UserError when it is a model for images or sounds, needs its own code, is no decoder, or lacks a number.
    """
    fields = Fields(config, where)
    model_type = str(config.get("model_type") or "")
    refuse_unusable(config, where)
    note = OWN_CODE_NOTE.format(model_type) if config.get("auto_map") else ""
    if model_type in FAMILIES:
        return _spec(shape_of_family(FAMILIES[model_type], fields), config, note=note)
    builder = OWN_SHAPES.get(model_type) or EXPERT_SHAPES.get(model_type)
    if builder is not None:
        return _spec(builder(fields), config, note=note)
    return _estimated(fields, model_type)


def refuse_unusable(config: Mapping[str, Any], where: str) -> None:
    """UserError for a model that this program does not train, with the reason."""
    model_type = config.get("model_type") or "an unnamed type"
    if any(isinstance(config.get(key), Mapping) for key in ("text_config", "vision_config", "audio_config")):
        raise UserError(
            f'"{model_type}" is a model for images or sounds beside text, which this program does not train.',
            where,
            "Choose a text-only model of the same family.",
        )
    architecture = str((config.get("architectures") or [""])[0])
    known = model_type in FAMILIES or model_type in OWN_SHAPES or model_type in EXPERT_SHAPES
    if config.get("auto_map") and not known:
        raise UserError(
            f'Models of type "{model_type}" are not known here, and the Python code that this one brings is never run.',
            where,
            "Choose a model of a supported family, such as Llama, Mistral, Qwen, Gemma, Phi, SmolLM, OLMo or Granite.",
        )
    if architecture and not architecture.endswith(("ForCausalLM", "LMHeadModel")):
        raise UserError(
            f'"{architecture}" is not a model that writes text.',
            where,
            "Choose a model whose architecture ends in ForCausalLM.",
        )


def quantization_of(config: Mapping[str, Any]) -> str | None:
    """How the weights are already quantized: "nf4", "fp4", "int8" (bitsandbytes) or the method's own name; None when
    not."""
    settings = config.get("quantization_config")
    if not isinstance(settings, Mapping):
        return None
    method = str(settings.get("quant_method") or settings.get("quant_algo") or "")
    if settings.get("load_in_4bit"):
        return str(settings.get("bnb_4bit_quant_type") or "fp4")
    if settings.get("load_in_8bit"):
        return "int8"
    return method or "unknown"


def _spec(shape: Shape, config: Mapping[str, Any], exact: bool = True, note: str = "") -> ModelSpec:
    parts = _parts(shape)
    return ModelSpec(
        architecture=str((config.get("architectures") or [""])[0]),
        model_type=str(config.get("model_type") or ""),
        parameters=sum(parts.values()),
        parts=MappingProxyType(parts),
        hidden_size=shape.hidden,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate,
        vocab_size=shape.vocab,
        tied_embeddings=shape.tied,
        context_length=shape.context,
        dtype=str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch."),
        quantization=quantization_of(config),
        experts=shape.expert_count,
        linear_parameters=sum(linear.weights for linear in shape.linears),
        linears=shape.linears,
        exact=exact,
        note=note,
        rotary_size=rotary_size(config, shape.head_dim),
        sliding_window=sliding_window(config),
        variant=variant_of(config),
        experts_per_token=experts_per_token(config) if shape.expert_count else 0,
        shared_expert_size=shared_expert_size(config) if shape.expert_count else 0,
    )


def _parts(shape: Shape) -> dict[str, int]:
    attention = sum(
        item.parameters for item in shape.linears if item.name.startswith(ATTENTION_NAMES) and "4h" not in item.name
    )
    mlp = sum(item.parameters for item in shape.linears) - attention
    parts = {
        "embeddings": shape.embeddings,
        "attention": attention,
        "mlp": mlp,
        "experts": shape.experts,
        "norms": shape.norms,
        "lm_head": shape.lm_head,
        "other": shape.other,
    }
    return {name: count for name, count in parts.items() if count}


def _estimated(fields: Fields, model_type: str) -> ModelSpec:
    """A decoder that is not described here but has the usual numbers is counted as if it were a Llama."""
    if model_type not in ESTIMATED_TYPES or any(fields.config.get(key) for key in UNUSUAL_KEYS):
        raise UserError(
            f'This program does not know how models of type "{model_type or "unknown"}" are built.',
            fields.where,
            "Choose a model of a supported family, such as Llama, Mistral, Qwen, Gemma, Phi, SmolLM, OLMo or Granite.",
        )
    note = f'The type "{model_type}" is not known here: its size is estimated as for a Llama, to a few percent.'
    return _spec(shape_of_family(FAMILIES["llama"], fields), fields.config, exact=False, note=note)
