"""A trainer that is one of several: the same step as one process, computed in shares.

Each process learns its micro-batches of the step; then all agree that it went well, add up their gradients, and take
the same optimizer step on the same weights. accelerate sees one process, so that nothing is divided twice.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers.trainer_pt_utils import safe_globals

from engine.train import gradients
from engine.train.blank import is_blank, without_blank
from engine.train.dataset import Batch, largest_cut, take_counts
from engine.train.enduring import Enduring
from engine.train.evaluation import Evaluation
from engine.train.evaluation_share import evaluate_share
from engine.train.out_of_memory import OutOfMemory, free_memory, is_out_of_memory
from engine.train.randomness import restore
from engine.train.share_order import ShareOrder
from engine.train.trainer import RunTrainer
from engine.train.world import World


class Sharing(Enduring):
    """Stands before the trainer of any objective among the bases of a class (`in_shares`).

    `args.gradient_accumulation_steps` are the micro-batches of this process, and the last row of its training set is
    the blank one (`engine.train.blank`).
    """

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

    @property
    def rows_per_step(self) -> int:
        """The effective batch of all processes, but for a last step of an epoch."""
        return super().rows_per_step * self.world.size

    @property
    def learned_rows(self) -> Any:
        return without_blank(self.train_dataset)

    def _get_train_sampler(self, train_dataset: Any = None) -> ShareOrder:
        """The objective's own order, dealt out."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        whole = super()._get_train_sampler(without_blank(dataset))
        micro_batch = int(self.args.per_device_train_batch_size)
        return ShareOrder(whole, self.rows_per_step, micro_batch, self.world.rank, self.world.size)

    def keep_batches(self, batches: list[Batch]) -> None:
        for batch in filter(is_blank, batches):
            take_counts(batch)  # its tokens are nobody's
        super().keep_batches(batches)

    def get_batch_samples(self, epoch_iterator: Iterator[Batch], num_batches: int, device: Any) -> Any:
        """Fetch this process's micro-batches of one step, and count what all processes learn in it."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        own = float(items if items is not None else 0)
        rows = self.world.table([self.step_tokens, self.step_trained_tokens, own])
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
        """The summed loss of micro-batches; None, and a mark, when memory runs out. A blank one is left out: losses
        that compare answers would be those of a pair between which nothing is to choose."""
        learned = [batch for batch in batches if not is_blank(batch)]
        if not learned:
            return self._nothing()
        try:
            return torch.stack([self._in_parts(model, batch, items) for batch in learned]).sum()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._failed = True
        return None

    def _nothing(self) -> torch.Tensor:
        """The loss of no row. Scaled, since torch makes what fp16 is scaled by at its first use."""
        zero, scaler = torch.zeros((), device=self.args.device), self.accelerator.scaler
        return zero if scaler is None else cast(torch.Tensor, scaler.scale(zero))

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
        self.step_log().clear()
        free_memory()
        if self.parts >= self.world.most([largest_cut(self._batches)])[0]:
            raise OutOfMemory(self.parts)
        self.parts *= 2
        self._failed = False
        return self._attempt(model, self._batches, items)

    def log(self, logs: dict[str, float], *arguments: Any, **options: Any) -> None:
        """The loss of a step is the sum of the shares; what is logged beside it, the mean over all micro-batches."""
        if "loss" in logs:
            own = self.step_log()
            rows = self.world.table([logs["loss"], self.memory_bytes(), len(own)])
            logs["loss"] = sum(row[0] for row in rows)
            self.device_bytes = tuple(int(row[1]) for row in rows)
            if any(row[2] for row in rows):
                self._put_together(own)
        super().log(logs, *arguments, **options)

    def _put_together(self, log: dict[str, list[float]]) -> None:
        told = [json.loads(one) for one in self.world.gather(json.dumps(log).encode())]
        for name in {name: None for one in told for name in one}:
            log[name] = [value for one in told for value in one.get(name, ())]

    def measure(self, batches: Iterable[Batch], between: Callable[[], bool] | None = None) -> Evaluation | None:
        """The held-out rows, each measured by one process; without `between` this process measures `batches` alone."""
        if between is None:
            return super().measure(batches)
        return evaluate_share(self.model, self.tally, batches, between, self.world)

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


class SharingTrainer(Sharing, RunTrainer):
    """Supervised fine-tuning as one of several processes."""


def in_shares(kind: type[Enduring]) -> type[Any]:
    """The trainer `kind` as one of several processes."""
    return SharingTrainer if kind is RunTrainer else type(f"Sharing{kind.__name__}", (Sharing, kind), {})


def random_state_name(rank: int) -> str:
    """Where a checkpoint keeps the random state of a rank; that of rank 0 has the name that one process looks for."""
    return f"rng_state_{rank}.pth" if rank else "rng_state.pth"


def set_own_randomness(seed: int, rank: int) -> None:
    """Let each process draw its own dropout; rank 0 draws what one process would."""
    if rank:
        random.seed(seed + rank)
        np.random.seed((seed + rank) % 2**32)
        torch.manual_seed(seed + rank)
