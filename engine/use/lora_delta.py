"""What a LoRA adapter adds to each weight, read from its two files without building a model."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from engine.errors import UserError

_PREFIX = "base_model.model."
_A, _B = "lora_A", "lora_B"
_EMBEDDING_A, _EMBEDDING_B = "lora_embedding_A", "lora_embedding_B"
_PART = re.compile(r"^(.*)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B)(\.weight)?$")


@dataclass(frozen=True)
class LoraDelta:
    """`parts` maps a module's name to (A, B, whether it is an embedding) as names in the file; `whole` maps the name of
    a weight to the one in the file that takes its place (modules_to_save)."""

    config: dict[str, Any]
    weights: Any
    parts: dict[str, tuple[str, str, bool]]
    whole: dict[str, str]

    def refuse_strangers(self, names: frozenset[str]) -> None:
        """UserError when a module of the adapter is not in the base's files, where names may differ from the code's."""
        wanted = [f"{module}.weight" for module in self.parts] + list(self.whole)
        missing = [name for name in wanted if name not in names]
        if missing:
            what = f"{len(missing)} weights that the adapter changes are not in the base's files, as {missing[0]}."
            raise NotByFilesError(what)

    def applied(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The weight with the adapter's change; the same object when the adapter leaves it alone.

        The product is taken in 32 bits and rounded to the adapter's format, then to the weight's, as peft does it.
        """
        weight = self._whole(name, weight) if name in self.whole else weight  # for an adapted embedding peft saves both
        module = name.removesuffix(".weight")
        if module not in self.parts:
            return weight
        a, b, is_embedding = self.parts[module]
        left, right = self.weights.get_tensor(b), self.weights.get_tensor(a)
        product = (left.float() @ right.float()) * self.scaling(module, right.shape[0])
        delta = product.T if is_embedding != bool(self.config.get("fan_in_fan_out")) else product
        if delta.shape != weight.shape:
            raise _misfit(name, delta, weight)
        return weight + delta.to(left.dtype).to(weight.dtype)

    def scaling(self, module: str, rank: int) -> float:
        """alpha / rank, or alpha / sqrt(rank) for rank-stabilised LoRA; patterns of single modules count."""
        alpha = _by_pattern(self.config.get("alpha_pattern"), module, float(self.config.get("lora_alpha", rank)))
        return float(alpha / rank**0.5 if self.config.get("use_rslora") else alpha / rank)

    def _whole(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        saved: torch.Tensor = self.weights.get_tensor(self.whole[name])
        if saved.shape != weight.shape:
            raise _misfit(name, saved, weight)
        return saved.to(weight.dtype)


class NotByFilesError(Exception):
    """This adapter needs the model in memory to be merged; the message says why."""


def read_lora(adapter: Path, stack: ExitStack) -> LoraDelta:
    """Open an adapter; `stack` closes it. Raises NotByFilesError for a kind whose change is no plain product."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    unusual = [key for key in ("use_dora", "lora_bias", "use_qalora", "trainable_token_indices", "target_parameters",
                               "layer_replication", "corda_config", "arrow_config", "alora_invocation_tokens")
               if config.get(key)]  # fmt: skip
    if str(config.get("peft_type", "LORA")) != "LORA" or unusual:
        raise NotByFilesError(f"the adapter uses {unusual[0] if unusual else config.get('peft_type')}")
    weights = stack.enter_context(safe_open(adapter / "adapter_model.safetensors", "pt"))
    found: dict[str, dict[str, str]] = {}
    whole: dict[str, str] = {}
    for key in weights.keys():  # noqa: SIM118 - it is no mapping
        name = key.removeprefix(_PREFIX)
        if match := _PART.match(name):
            found.setdefault(match.group(1), {})[match.group(2)] = key
        else:
            whole[name.replace(".modules_to_save", "").replace(".base_layer", "")] = key
    if config.get("ensure_weight_tying"):
        whole.pop("lm_head.weight", None)  # peft saves the shared table twice, and the base's files hold it once
    parts = {module: _pair(module, keys) for module, keys in found.items()}
    return LoraDelta(config, weights, parts, whole)


def _pair(module: str, keys: dict[str, str]) -> tuple[str, str, bool]:
    for a, b, is_embedding in ((_A, _B, False), (_EMBEDDING_A, _EMBEDDING_B, True)):
        if a in keys and b in keys:
            return keys[a], keys[b], is_embedding
    fix = "Take another checkpoint, or train again."
    raise UserError(f"The adapter has only half of its weights for {module}.", "adapter_model.safetensors", fix)


def _by_pattern(patterns: Any, module: str, otherwise: float) -> float:
    """The value of the first pattern that matches the end of a module's name, as peft looks it up."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return float(value)
    return otherwise


def _misfit(name: str, new: torch.Tensor, old: torch.Tensor) -> UserError:
    what = f"The adapter's {name} has the shape {list(new.shape)} and the base's has {list(old.shape)}."
    fix = "Tokens were added after training began, or it is another base. Use the adapter as it is."
    return UserError(what, name, fix)
