"""What DeepSpeed's engines hold of a weight, put together and taken apart: itself, its copy in fp32, Adam's values.

A weight that ZeRO-3 divides carries `ds_id`; of its values each process has one of equal parts, the last filled up.
"""

from __future__ import annotations

from typing import Any

import torch

MOMENTS = ("exp_avg", "exp_avg_sq")


def whole_weight(weight: Any) -> torch.Tensor:
    import deepspeed

    if not hasattr(weight, "ds_id"):
        return torch.as_tensor(weight.detach())
    with deepspeed.zero.GatheredParameters([weight]):
        return torch.as_tensor(weight.detach()).clone()


def whole_master(weight: Any) -> torch.Tensor:
    from deepspeed.utils import safe_get_full_fp32_param

    return torch.as_tensor(safe_get_full_fp32_param(weight))


def whole_state(weight: Any, keep: bool) -> dict[str, torch.Tensor]:
    """Adam's two values and, where the weight itself has 16 bits, its copy in fp32."""
    from deepspeed.utils import safe_get_full_optimizer_state

    found = {name: safe_get_full_optimizer_state(weight, name) for name in MOMENTS}
    if weight.dtype != torch.float32:
        found["master"] = whole_master(weight)
    return {name: value.cpu() for name, value in found.items()} if keep else {}


def set_state(weight: Any, values: dict[str, torch.Tensor]) -> None:
    """Put this process's part of a weight's values in their place."""
    from deepspeed import utils

    divided = hasattr(weight, "ds_id")
    for name in (*MOMENTS, "master"):
        if name not in values:
            continue
        value = values[name].float().to(weight.device)
        if divided:  # DeepSpeed's own way to set whole values refuses those that do not divide
            value = _part(value, int(weight.ds_tensor.numel()))
        if name == "master":
            setter = utils.safe_set_local_fp32_param if divided else utils.safe_set_full_fp32_param
            setter(weight, value)
        else:
            setter = utils.safe_set_local_optimizer_state if divided else utils.safe_set_full_optimizer_state
            setter(weight, value, name)


def _part(whole: torch.Tensor, size: int) -> torch.Tensor:
    """One of equal parts of `size` numbers for each process, the last of them filled up with zeros."""
    import torch.distributed as dist

    flat = torch.nn.functional.pad(whole.flatten(), (0, size * dist.get_world_size() - whole.numel()))
    return flat.narrow(0, size * dist.get_rank(), size)
