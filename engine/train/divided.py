"""What is the same for every way to divide a model among the processes of a run, FSDP2 and DeepSpeed's ZeRO.

Checkpoints hold whole weights and a whole optimizer, as one process writes them, so that a run goes on with any number
of processes and either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from engine.errors import UserError
from engine.train.dataset import Batch
from engine.train.enduring import Enduring
from engine.train.shared_saving import SharedSaver
from engine.train.sharing import SharingTrainer


class DividedTrainer(SharingTrainer):
    """One of several processes that hold a part of the model each. Every forward pass is a collective, so that a
    process that runs out of memory ends the run: the others cannot wait for it in the middle of a layer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._direct = False  # it would pass the root by, which gathers embeddings and output head

    def training_step(self, model: Any, inputs: Batch, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of one micro-batch; the backward pass adds up the gradients of all processes."""
        return Enduring.training_step(self, model, inputs, num_items_in_batch)

    def _again_in_smaller_parts(self, model: Any, items: Any) -> torch.Tensor:
        raise UserError("The memory of a GPU does not suffice.", f"step {self.state.global_step + 1}",
                        "Choose a smaller micro-batch or a shorter sequence length.", exit_code=1)  # fmt: skip


class DividedSaver(SharedSaver):
    """Writes what all processes hold together."""

    def _refuse_drift(self) -> None:
        """Every process holds another part, so there is nothing to compare."""


def gathered(
    weights: Iterator[tuple[str, Any]], gather: Callable[[Any], torch.Tensor], keep: bool
) -> dict[str, torch.Tensor]:
    """Each of the named weights put together by `gather`, a collective, and kept in the host's memory where `keep` says
    so; empty elsewhere."""
    known: dict[int, torch.Tensor] = {}
    found = {}
    for name, weight in weights:
        if id(weight) not in known:  # tied weights are one
            whole = gather(weight)
            known[id(weight)] = whole.detach().cpu() if keep else torch.empty(0)
        found[name] = known[id(weight)]
    return found if keep else {}
