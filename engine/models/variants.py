"""What in a config changes how a family computes beyond its sizes: rotation, sliding window, unusual structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Settings that change the operations of a layer when they differ from these values; the name they give to the variant.
_USUAL: dict[str, tuple[bool, str]] = {
    "attention_bias": (False, "biased"),
    "mlp_bias": (False, "biased"),
    "use_qk_norm": (False, "normed"),
    "qk_layernorm": (False, "normed"),
    "alibi": (False, "alibi"),
}
_PARALLEL_BY_DEFAULT = ("gpt_neox",)
_BIASED_BY_DEFAULT = ("gpt_neox", "seed_oss", "gpt_oss")


def variant_of(config: Mapping[str, Any]) -> str:
    """Empty for a family's usual structure, else a name such as "biased" or "new"."""
    model_type = str(config.get("model_type"))
    found = []
    for key, (usual, name) in _USUAL.items():
        if key == "attention_bias" and model_type in _BIASED_BY_DEFAULT:
            continue
        if bool(config.get(key, usual)) != usual:
            found.append(name)
    if "use_parallel_residual" in config:
        usual = model_type in _PARALLEL_BY_DEFAULT
        if bool(config["use_parallel_residual"]) != usual:
            found.append("serial" if usual else "parallel")
    if model_type.endswith("_moe") and (config.get("mlp_only_layers") or config.get("decoder_sparse_step", 1) != 1):
        found.append("mixed")  # some blocks hold experts, some do not
    if model_type == "falcon":
        found.append(_falcon_variant(config))
    return "-".join(dict.fromkeys(found))


def _falcon_variant(config: Mapping[str, Any]) -> str:
    if config.get("new_decoder_architecture"):
        return "new"
    return "single" if config.get("multi_query", True) else "many"


def sliding_window(config: Mapping[str, Any]) -> int:
    """Tokens beyond which attention slides, so that it needs a mask; 0 when it never does."""
    if config.get("use_sliding_window") is False:
        return 0
    default = {"gemma2": 4096, "gemma3_text": 4096}.get(str(config.get("model_type")), 0)
    value = config.get("sliding_window", default)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def rotary_size(config: Mapping[str, Any], head_dim: int) -> int:
    """How many dimensions of a head are rotated."""
    if isinstance(config.get("rotary_dim"), int):
        return int(config["rotary_dim"])
    settings = config.get("rope_parameters")
    nested = settings.get("partial_rotary_factor") if isinstance(settings, Mapping) else None
    default = {"gpt_neox": 0.25, "stablelm": 0.25, "phi": 0.5, "nemotron": 0.5}.get(str(config.get("model_type")), 1.0)
    share = config.get("partial_rotary_factor", config.get("rotary_pct", nested if nested is not None else default))
    return int(head_dim * share) if isinstance(share, int | float) else head_dim
