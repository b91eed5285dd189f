"""Held-out rows measured by several processes, each of them on every so-many-th batch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

from engine.train.dataset import Batch
from engine.train.evaluation import Evaluation, Tally, measuring
from engine.train.out_of_memory import free_memory, is_out_of_memory
from engine.train.world import World


def evaluate_share(
    model: Any, fresh: Callable[[], Tally], batches: Iterable[Batch], between: Callable[[], bool], world: World
) -> Evaluation | None:
    """What one process finds with a `fresh` tally, with the same number of forward passes in every process: where
    batches do not divide, the last one is computed again and not counted. `between` must answer alike in all of them;
    None when it says no.

    Raises torch.OutOfMemoryError in all processes when it was too much for one.
    """
    started, known = time.monotonic(), list(batches)
    own, fits = fresh(), True
    for first in range(0, len(known), world.size):
        if not between():
            return None
        index = first + world.rank
        tally = own if index < len(known) else fresh()
        fits = fits and _counted(model, tally, known[min(index, len(known) - 1)])
    return _together(own, fresh(), fits, world, started)


def _counted(model: Any, tally: Tally, batch: Batch) -> bool:
    """Whether there was memory for a batch."""
    try:
        with measuring(model):
            tally.add(batch)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _together(own: Tally, whole: Tally, fits: bool, world: World, started: float) -> Evaluation:
    """What all found. Every process adds up in the same order, so that all decide by the same number."""
    message = json.dumps({"fits": fits, "part": own.told()}).encode()
    told = [json.loads(part) for part in world.gather(message)]
    if not all(one["fits"] for one in told):
        free_memory()
        raise torch.OutOfMemoryError("CUDA out of memory in an evaluation of another process")
    for one in told:
        whole.take(one["part"])
    return whole.found(time.monotonic() - started)
