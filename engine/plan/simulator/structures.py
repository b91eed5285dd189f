"""The structures that tables are compiled for: a family's operations, whatever its sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.plan.simulator.symbols import Probe


@dataclass(frozen=True)
class Structure:
    """One way in which layers are built. `name` is "TYPE-grouped", "TYPE-single" (one key head) or "TYPE-plain", with
    the variant behind it.

    `square`: the hidden size is the width of all heads. `ties`: whether head and embedding are one tensor, where it
    matters. `precisions` are (device, precision); in the first of them tables are also compiled for the choices of
    layers in `target_groups` and, with `whole_logits`, for the loss over all logits at once.
    """

    model_type: str
    grouped: bool
    ties: tuple[bool, ...] = (False, True)
    square: bool = False
    rotary_share: float = 1.0
    attention: str = "sdpa"
    variant: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    precisions: tuple[tuple[str, str], ...] = ()
    target_groups: tuple[str, ...] = ()
    whole_logits: bool = False
    experts: bool = False
    single: bool = False

    @property
    def name(self) -> str:
        heads = "single" if self.single else "grouped" if self.grouped else "plain"
        return f"{self.model_type}-{heads}" + (f"-{self.variant}" if self.variant else "")


_UNTIED, _TIED = (False,), (True,)

_GPU_ONLY = (("cuda", "bf16"), ("cuda", "fp16"))
_EVERYWHERE = (("cuda", "bf16"), ("cpu", "fp32"), ("cuda", "fp16"), ("cuda", "fp32"))
_MIXTURES = (("cuda", "bf16"),)
_GROUPS = ("qv", "attention")

STRUCTURES: tuple[Structure, ...] = (
    Structure("llama", True, precisions=_EVERYWHERE, target_groups=_GROUPS, whole_logits=True),
    Structure("llama", False, precisions=_EVERYWHERE, target_groups=_GROUPS, whole_logits=True),
    Structure("qwen3", True, precisions=_EVERYWHERE, target_groups=_GROUPS, whole_logits=True),
    Structure("gpt2", False, _TIED, square=True, precisions=_EVERYWHERE),
    Structure("gemma3_text", True, _TIED, precisions=(*_GPU_ONLY, ("cpu", "fp32"))),
    Structure("gemma2", True, _TIED, attention="eager", precisions=_GPU_ONLY),
    Structure("phi3", True, precisions=_GPU_ONLY),
    Structure("phi3", False, _UNTIED, precisions=_GPU_ONLY),
    Structure("olmo2", False, _UNTIED, precisions=_GPU_ONLY),
    Structure("olmo2", True, _UNTIED, precisions=_GPU_ONLY),
    Structure("gemma", False, _TIED, precisions=_GPU_ONLY),
    Structure("gpt_neox", False, _UNTIED, square=True, rotary_share=0.25, precisions=_GPU_ONLY),
    Structure("cohere", True, _TIED, precisions=_GPU_ONLY),
    Structure("stablelm", False, _UNTIED, square=True, rotary_share=0.25, precisions=_GPU_ONLY),
    Structure("gptj", False, _UNTIED, square=True, rotary_share=0.25, attention="eager", precisions=_GPU_ONLY),
    Structure("phi", False, _UNTIED, square=True, rotary_share=0.5, precisions=_GPU_ONLY),
    Structure("gemma", True, _TIED, precisions=_GPU_ONLY),
    Structure("granite", True, _TIED, precisions=_GPU_ONLY),
    Structure(
        "gpt_neox", False, _UNTIED, square=True, variant="serial", changes={"use_parallel_residual": False},
        precisions=_GPU_ONLY,
    ),
    Structure(
        "falcon", True, _TIED, square=True, variant="new", changes={"new_decoder_architecture": True},
        precisions=_GPU_ONLY,
    ),
    Structure("starcoder2", True, _TIED, precisions=_GPU_ONLY),
    Structure("olmo", False, _UNTIED, precisions=_GPU_ONLY),
    Structure("gemma3_text", True, _TIED, precisions=_GPU_ONLY[:1], single=True),
    Structure("mixtral", True, _UNTIED, precisions=_MIXTURES, experts=True),
    Structure("qwen2_moe", False, _UNTIED, square=True, precisions=_MIXTURES, experts=True),
    Structure("qwen2_moe", True, _UNTIED, square=True, precisions=_MIXTURES, experts=True),
    Structure("qwen3_moe", True, _UNTIED, precisions=_MIXTURES, experts=True),
    Structure("olmoe", False, _UNTIED, square=True, precisions=_MIXTURES, experts=True),
)  # fmt: skip


def probe_config(structure: Structure, probe: Probe, layers: int, tied: bool) -> dict[str, Any]:
    """The config.json of a probe, in the names that the family uses."""
    if structure.model_type in ("gpt2", "gptj"):
        config: dict[str, Any] = {
            "n_embd": probe.hidden, "n_layer": layers, "n_head": probe.heads, "n_inner": probe.inner,
            "n_positions": 4096, "rotary_dim": probe.rotary,
        }  # fmt: skip
        if structure.model_type == "gpt2":
            del config["rotary_dim"]
    else:
        config = {
            "hidden_size": probe.hidden, "num_hidden_layers": layers, "num_attention_heads": probe.heads,
            "num_key_value_heads": probe.kv_heads, "intermediate_size": probe.inner, "max_position_embeddings": 4096,
        }  # fmt: skip
    if structure.model_type == "falcon":
        config |= {"num_kv_heads": probe.kv_heads, "ffn_hidden_size": probe.inner}
    if structure.experts:
        config |= {
            "num_experts": probe.experts, "num_local_experts": probe.experts, "num_experts_per_tok": probe.chosen,
            "moe_intermediate_size": probe.inner, "shared_expert_intermediate_size": probe.shared,
        }  # fmt: skip
    if not structure.square:
        config["head_dim"] = probe.head_dim
    if structure.rotary_share < 1 and "rotary_dim" not in config:
        config |= {"partial_rotary_factor": structure.rotary_share, "rotary_pct": structure.rotary_share}
    common = {
        "model_type": structure.model_type, "vocab_size": probe.vocab, "tie_word_embeddings": tied, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    if structure.model_type in ("mistral", "ministral", "gemma2", "gemma3_text", "phi3", "starcoder2"):
        common["sliding_window"] = 8192
    return {**common, **config, **structure.changes}
