"""A model that is divided among the processes of a run (FSDP2): weights, gradients and optimizer, a block at a time.

torch's `fully_shard` is used directly: through the trainer's own switch a CPU would silently get plain copies. Its
sums of gradients are sums and not means, as everywhere in this program. Checkpoints hold whole weights and a whole
optimizer, so that a run goes on with any number of processes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from engine.errors import UserError
from engine.train.divided import DividedSaver, DividedTrainer, gathered
from engine.train.training_state import Whole


def shard(model: Any, processes: int, device: torch.device) -> Any:
    """Divide `model`, which lies in the host's memory, among the processes; each moves its part to `device`."""
    mesh = init_device_mesh(device.type, (processes,))
    modules = [*_blocks(model), model]
    for module in modules:
        fully_shard(module, mesh=mesh)
    for module in modules:
        module.set_force_sum_reduction_for_comms(True)  # gloo has no other; exact on NCCL as well
        module.set_gradient_divide_factor(1.0)
    weights = list(model.parameters())
    held = sum(weight.to_local().numel() if isinstance(weight, DTensor) else weight.numel() for weight in weights)
    sys.stderr.write(f"FSDP2: this process holds {held} of {sum(weight.numel() for weight in weights)} weights\n")
    return model


def _blocks(model: Any) -> list[torch.nn.Module]:
    """The layers of a transformer, which its own class names. Raises UserError when it does not."""
    names = set(getattr(model, "_no_split_modules", None) or ())
    found = [module for module in model.modules() if type(module).__name__ in names]
    if not found:
        raise UserError("The model does not say which of its layers can be divided.", "training.sharding",
                        "Use --set training.sharding=none.")  # fmt: skip
    return found


class ShardedTrainer(DividedTrainer):
    """One of several processes that hold a part of the model each, divided by `shard`."""

    def create_optimizer(self, *arguments: Any) -> Any:
        """An optimizer of this process's parts. An evaluation leaves the root gathered, and an optimizer made then
        would move a copy that nobody reads."""
        self.model.reshard()
        return super().create_optimizer(*arguments)

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Give every process its part of a whole optimizer."""
        if checkpoint is None:
            return
        state = torch.load(Path(checkpoint) / "optimizer.pt", map_location="cpu", weights_only=True, mmap=True)
        for index, weight in enumerate(_weights(self.optimizer)):
            for name, value in state["state"].get(index, {}).items():
                if isinstance(weight, DTensor) and value.shape == weight.shape:
                    state["state"][index][name] = _own_part(value, weight)
        self.optimizer.load_state_dict(state)
        schedule = torch.load(Path(checkpoint) / "scheduler.pt", map_location="cpu", weights_only=True)
        self.lr_scheduler.load_state_dict(schedule)


class ShardedSaver(DividedSaver):
    """Writes what all processes hold together."""

    def _gather(self) -> Whole | None:
        keep = self.session.world.leads
        return Whole(whole_weights(self.trainer.model, keep), whole_optimizer(self.trainer.optimizer, keep))


def whole_weights(model: Any, keep: bool) -> dict[str, torch.Tensor]:
    """Every weight put together, in the host's memory of those that `keep` it. A collective."""
    model.reshard()  # else the root's weights may be those that the last evaluation gathered
    return gathered(iter(model.state_dict(keep_vars=True).items()), _whole_weight, keep)


def _whole_weight(weight: Any) -> torch.Tensor:
    return torch.as_tensor(weight.full_tensor() if isinstance(weight, DTensor) else weight)


def whole_optimizer(optimizer: Any, keep: bool) -> dict[str, Any]:
    """The state of the optimizer as one process has it. A collective."""
    state = optimizer.state_dict()
    for index in sorted(state["state"]):
        own = dict(state["state"][index])
        for name in sorted(own):
            if isinstance(own[name], DTensor):
                whole = own[name].full_tensor()
                own[name] = whole.cpu() if keep else torch.empty(0)
        state["state"][index] = own
    return dict(state) if keep else {}


def _weights(optimizer: Any) -> Iterator[Any]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _own_part(value: torch.Tensor, like: DTensor) -> DTensor:
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
