"""The loss on held-out rows, measured by several processes, each of them on every so-many-th batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

from engine.train.dataset import Batch
from engine.train.evaluation import Evaluation, evaluate
from engine.train.out_of_memory import free_memory, is_out_of_memory
from engine.train.world import World


def evaluate_share(
    model: Any, batches: Iterable[Batch], device: torch.device, between: Callable[[], bool], world: World
) -> Evaluation | None:
    """What `evaluate` finds, with the same number of forward passes in every process: where batches do not divide,
    the last one is computed again and not counted. `between` must answer alike in all of them; None when it says no.

    Raises torch.OutOfMemoryError in all processes when it was too much for one.
    """
    started = time.monotonic()
    known = list(batches)
    loss, tokens, rows, failed = 0.0, 0, 0, False
    for first in range(0, len(known), world.size):
        if not between():
            return None
        index = first + world.rank
        try:
            part = evaluate(model, [known[min(index, len(known) - 1)]], device) if not failed else None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            part, failed = None, True
        if part is not None and index < len(known):
            loss, tokens, rows = loss + (part.loss * part.tokens if part.tokens else 0.0), tokens + part.tokens, (
                rows + part.rows)  # fmt: skip
    return _together(world, started, loss, tokens, rows, failed)


def _together(world: World, started: float, loss: float, tokens: int, rows: int, failed: bool) -> Evaluation:
    shares = world.table([loss, tokens, rows, float(failed)])
    loss, all_tokens, all_rows, failures = (sum(column) for column in zip(*shares, strict=True))
    if failures:
        free_memory()
        raise torch.OutOfMemoryError("CUDA out of memory in an evaluation of another process")
    mean = loss / all_tokens if all_tokens else math.nan
    perplexity = math.exp(mean) if mean < 700 else (math.inf if mean >= 700 else math.nan)
    return Evaluation(mean, perplexity, int(all_rows), int(all_tokens), time.monotonic() - started)
