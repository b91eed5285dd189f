"""A trainer that is one of several: the same step as one process, computed in shares.

Each process learns its micro-batches of the step; then all agree that it went well, add up their gradients, and take
the same optimizer step on the same weights. accelerate sees one process, so that nothing is divided twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.trainer_pt_utils import safe_globals

from engine.train import gradients
from engine.train.dataset import Batch, largest_cut
from engine.train.evaluation_share import evaluate_share
from engine.train.out_of_memory import OutOfMemory, free_memory, is_out_of_memory
from engine.train.randomness import restore
from engine.train.share_order import BLANK_TOKENS, ShareOrder, is_blank
from engine.train.trainer import RunTrainer
from engine.train.world import World


class SharingTrainer(RunTrainer):
    """`args.gradient_accumulation_steps` are the micro-batches of this process; `world` must be set before use."""

    world: World
    device_bytes: tuple[int, ...] = ()
    """What each process held at the end of the last step."""
    memory_bytes: Callable[[], int]

    def __init__(self, world: World, memory_bytes: Callable[[], int], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.world = world
        self.memory_bytes = memory_bytes
        self._failed = False
        self._reported = 0.0

    def _get_train_sampler(self, train_dataset: Any = None) -> ShareOrder:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(ids) for ids in dataset["input_ids"]][:-1]
        micro_batch = self.args.per_device_train_batch_size
        rows = micro_batch * self.args.gradient_accumulation_steps * self.world.size
        return ShareOrder(lengths, rows, self.args.data_seed, micro_batch, self.world.rank, self.world.size)

    def get_batch_samples(self, epoch_iterator: Iterator[Batch], num_batches: int, device: Any) -> Any:
        """Fetch this process's micro-batches of one step, and count what all processes learn in it."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        own = self.step_tokens - BLANK_TOKENS * sum(map(is_blank, batches))
        rows = self.world.table([own, self.step_trained_tokens, float(items if items is not None else 0)])
        tokens, trained, counted = (sum(column) for column in zip(*rows, strict=True))
        self.step_tokens, self.step_trained_tokens = int(tokens), int(trained)
        self._failed, self._reported = False, 0.0
        return batches, items if items is None else torch.full_like(items, counted)

    def training_step(self, model: Any, inputs: Batch, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of one micro-batch; after the last of a step, one sum of gradients over all processes.

        A process that runs out of memory does nothing more until all have come to the end of the step.
        """
        self._position += 1
        loss = self._attempt(model, [inputs], num_items_in_batch) if not self._failed else None
        if loss is None:
            loss = torch.zeros((), device=self.args.device)
        self._reported += loss
        if self._position == len(self._batches):
            loss = loss + self._finish_step(model, num_items_in_batch)
        return loss

    def _attempt(self, model: Any, batches: list[Batch], items: Any) -> torch.Tensor | None:
        """The summed loss of micro-batches; None, and a mark, when memory runs out."""
        try:
            return torch.stack([self._in_parts(model, batch, items) for batch in batches]).sum()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._failed = True
        return None

    def _finish_step(self, model: Any, items: Any) -> torch.Tensor | float:
        """Add up the gradients once all processes have theirs. Returns by how much the loss of a second try differs.

        When one ran out of memory, all do the step again in smaller parts: OutOfMemory in all when none are left.
        """
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        correction: torch.Tensor | float = 0.0
        shrunk = False
        while True:
            failed, *anywhere = self.world.most([float(self._failed), *gradients.present(trained)])
            if not failed:
                break
            loss = self._again_in_smaller_parts_together(model, items)
            correction, shrunk = (loss - self._reported if loss is not None else 0.0), True
        gradients.add_up(gradients.fill_missing(trained, anywhere))
        if shrunk and self.on_shrunk is not None:
            self.on_shrunk(self.parts)
        return correction

    def _again_in_smaller_parts_together(self, model: Any, items: Any) -> torch.Tensor | None:
        model.zero_grad(set_to_none=True)
        free_memory()
        if self.parts >= self.world.most([largest_cut(self._batches)])[0]:
            raise OutOfMemory(self.parts)
        self.parts *= 2
        self._failed = False
        return self._attempt(model, self._batches, items)

    def log(self, logs: dict[str, float], *arguments: Any, **options: Any) -> None:
        """The loss of a step is the sum of the shares."""
        if "loss" in logs:
            rows = self.world.table([logs["loss"], self.memory_bytes()])
            logs["loss"] = sum(row[0] for row in rows)
            self.device_bytes = tuple(int(row[1]) for row in rows)
        super().log(logs, *arguments, **options)

    def measure(self, batches: Iterable[Batch], between: Callable[[], bool] | None = None) -> Any:
        """The held-out rows, each measured by one process; without `between` this process measures `batches` alone."""
        if between is None:
            return super().measure(batches)
        return evaluate_share(self.model, batches, self.args.device, between, self.world)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """The random state of this rank; where the checkpoint was made by fewer processes, a fresh one of its own."""
        if checkpoint is None:
            return
        path = Path(checkpoint) / random_state_name(self.world.rank)
        if not path.exists():
            set_own_randomness(self.args.seed + 1_000_003 * int(self.state.global_step), self.world.rank)
            return
        with safe_globals():
            restore(torch.load(path, weights_only=True))


def random_state_name(rank: int) -> str:
    """Where a checkpoint keeps the random state of a rank; that of rank 0 has the name that one process looks for."""
    return f"rng_state_{rank}.pth" if rank else "rng_state.pth"


def set_own_randomness(seed: int, rank: int) -> None:
    """Let each process draw its own dropout; rank 0 draws what one process would."""
    if rank:
        random.seed(seed + rank)
        np.random.seed((seed + rank) % 2**32)
        torch.manual_seed(seed + rank)
