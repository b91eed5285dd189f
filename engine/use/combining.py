"""Several adapters as one: which can be put side by side exactly, and what peft leaves to be set right afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import UserError

UNUSUAL = {
    "use_dora": "It is a DoRA adapter, whose magnitudes do not add up.",
    "lora_bias": "It trains biases as well, which peft leaves out of a combination.",
    "modules_to_save": "It holds whole layers (embeddings or output), of which a model has only one.",
    "target_parameters": "It trains single parameters, which peft cannot combine.",
    "trainable_token_indices": "It trains single tokens, which peft leaves out of a combination.",
}
"""Key of adapter_config.json -> why such an adapter stays alone (peft 0.21, LoraModel.add_weighted_adapter)."""


def obstacle(config: Mapping[str, Any]) -> str:
    """Why the adapter with this adapter_config.json cannot be combined with others; empty when it can."""
    return next((why for key, why in UNUSUAL.items() if config.get(key)), "")


def check_combinable(configs: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Raise UserError when the adapters (name, config) cannot be put side by side without a loss.

    peft takes the list of layers from the first adapter and drops what the others changed elsewhere.
    """
    for name, config in configs:
        if why := obstacle(config):
            raise UserError(f"The adapter of {name} cannot be combined. {why}", name, "Combine plain LoRA adapters.")
    if len({_layers(config) for _, config in configs}) > 1:
        what = "These adapters were trained on different layers, and a combination would lose some of them."
        raise UserError(what, ", ".join(name for name, _ in configs), "Combine adapters of the same layers.")


def _layers(config: Mapping[str, Any]) -> str:
    layers = config.get("layers_to_transform")
    return repr(sorted(layers) if isinstance(layers, list) else layers)


def without_scale(model: Any, name: str) -> None:
    """Let the adapter called `name` count as it is: the weights and scales of its parts are in it already.

    peft 0.21 copies rsLoRA from the first part, so that the combination would be multiplied by the root of its rank.
    """
    model.peft_config[name].use_rslora = False
    for module in model.modules():
        scaling = getattr(module, "scaling", None)
        if isinstance(scaling, dict) and name in scaling:
            scaling[name] = 1.0
