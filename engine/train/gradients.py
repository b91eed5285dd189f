"""Add up the gradients of all processes, once per optimizer step.

DistributedDataParallel would do it inside the last backward pass. Here it comes after that pass, and after all
processes have agreed that it went well: so a process that ran out of memory can do its part again, an expert that one
process never used does no harm, and no second copy of all gradients is held. The price is that communication does not
overlap with computation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from engine.errors import UserError
from engine.train.process_group import peers

BUCKET_BYTES = 32 << 20
"""Large enough that a link is busy (DistributedDataParallel takes 25 MiB), small beside any model."""


def greet(device: torch.device, processes: int) -> None:
    """Add up once before anything else, so that a link that does not work is told before the first step.

    Raises UserError.
    """
    one = torch.ones(1, device=device)
    try:
        dist.all_reduce(one)
        heard = int(one.item())
    except RuntimeError as error:
        heard, why = 0, f" {' '.join(str(error).split())[:200]}"
    else:
        why = f" {heard} of {processes} were heard."
    if heard != processes:
        fix = ("Go on with one GPU: `tunewright resume` with --devices 1. NCCL_DEBUG=INFO in the environment puts more "
               "into the log.")  # fmt: skip
        raise UserError(f"The processes cannot add up their gradients on {device.type}.{why}", "start", fix, 1)


def present(parameters: Sequence[torch.nn.Parameter]) -> list[float]:
    """1 for each parameter that has a gradient here, else 0."""
    return [float(parameter.grad is not None) for parameter in parameters]


def fill_missing(parameters: Sequence[torch.nn.Parameter], anywhere: Sequence[float]) -> list[torch.Tensor]:
    """The gradients that exist in some process; zeros where this one has none. Nobody's stay None, as in one process,
    since weight decay acts on a zero gradient and not on a missing one."""
    found = []
    for parameter, exists in zip(parameters, anywhere, strict=True):
        if exists and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad is not None:
            found.append(parameter.grad)
    return found


def add_up(gradients: Iterable[torch.Tensor]) -> None:
    """Replace each tensor by its sum over all processes. Raises PeerLost."""
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        with peers():
            dist.all_reduce(flat)
        _take_back(flat, bucket)


def _take_back(flat: torch.Tensor, bucket: list[torch.Tensor]) -> None:
    start = 0
    for gradient in bucket:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def _buckets(gradients: Iterable[torch.Tensor]) -> Iterable[list[torch.Tensor]]:
    """Neighbours of one format, up to BUCKET_BYTES together; a larger tensor is a bucket of its own."""
    bucket: list[torch.Tensor] = []
    size = 0
    for gradient in gradients:
        own = gradient.numel() * gradient.element_size()
        if bucket and (size + own > BUCKET_BYTES or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += own
    if bucket:
        yield bucket


def checksum(parameters: Iterable[Any]) -> float:
    """A number that differs when any weight does, all but certainly: the sum of all weights in double precision."""
    return float(sum(float(parameter.detach().double().sum()) for parameter in parameters))
