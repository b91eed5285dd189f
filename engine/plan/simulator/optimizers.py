"""The optimizers' state and temporaries on fake tensors."""

from __future__ import annotations

from typing import Any

import torch

from engine.errors import UserError

SMALLEST_EIGHT_BIT = 4096  # bitsandbytes keeps smaller tensors' state in fp32
SMALLEST_PAGED = 100_000  # and pages only larger ones
BLOCK = 256


class EightBitAdam(torch.optim.Optimizer):  # type: ignore[misc]
    """The state that bitsandbytes' AdamW8bit keeps; it has no temporaries. Paged state is not device memory but for
    its scales. `wide` are the ids of embeddings, whose moments transformers' trainer keeps in fp32."""

    def __init__(self, parameters: list[Any], paged: bool, wide: frozenset[int]) -> None:
        super().__init__(parameters, {"lr": 1e-4})
        self.paged, self.wide = paged, wide

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> None:
        """Create the state of every parameter that has a gradient, once."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not self.state[parameter]:
                    self.state[parameter].update(self._state_of(parameter))

    def _state_of(self, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
        count = parameter.numel()
        wide = id(parameter) in self.wide
        if wide and self.paged and count >= SMALLEST_PAGED:
            return {}
        if wide or count < SMALLEST_EIGHT_BIT:
            return {name: torch.zeros_like(parameter, dtype=torch.float32) for name in ("state1", "state2")}
        scales = {name: torch.zeros(-(-count // BLOCK)) for name in ("absmax1", "absmax2")}
        if self.paged and count >= SMALLEST_PAGED:
            return scales
        return scales | {name: torch.zeros_like(parameter, dtype=torch.uint8) for name in ("state1", "state2")}


def embeddings_of(model: Any) -> frozenset[int]:
    """The ids of the weights of embedding layers."""
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    return frozenset(id(parameter) for layer in layers for parameter in layer.parameters())


def make_optimizer(name: str, parameters: list[Any], embeddings: frozenset[int] = frozenset()) -> torch.optim.Optimizer:
    """The optimizer of a recipe. UserError for a name that recipes do not have."""
    if name == "adamw_torch_fused":
        return torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    if name == "adamw_torch":  # on a GPU torch works on all parameters at once
        return torch.optim.AdamW(parameters, lr=1e-4, foreach=True)
    if name in ("adamw_8bit", "paged_adamw_8bit"):
        return EightBitAdam(parameters, name.startswith("paged"), embeddings)
    raise UserError(f'The optimizer "{name}" cannot be simulated.', "training.optimizer", "Choose one of a recipe's.")


def prepare_state(optimizer: torch.optim.Optimizer, parameters: list[Any]) -> None:
    """Create the state before the first step, as it stands in every later one: Adam's two moments, or the 8-bit
    ones."""
    if isinstance(optimizer, EightBitAdam):
        for parameter in parameters:
            optimizer.state[parameter].update(optimizer._state_of(parameter))
        return
    for parameter in parameters:
        counter = torch.tensor(0.0, dtype=torch.float32)  # a constant: the unfused Adam reads it
        moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter].update({"step": counter, **moments})
