"""The world of several processes: a torch.distributed group that torchrun's environment describes.

Messages go by gloo over the CPU even where gradients go by NCCL: a question costs no synchronisation with the GPU.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from engine.errors import UserError
from engine.train.world import PeerLost

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: rank 0 may wait half an hour for room on the disk. A dead one is noticed
at once, by its closed connection and by the launcher."""
_FOREIGN = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK",
            "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "PMI_SIZE", "PMI_RANK",
            "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # fmt: skip
"""Variables by which accelerate would wrap the model a second time and divide the rows a second time."""


class ProcessGroup:
    """The processes that torchrun started. Every collective raises PeerLost when another one is gone."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()

    @property
    def leads(self) -> bool:
        return bool(self.rank == 0)

    def most(self, values: Sequence[float]) -> list[float]:
        tensor = torch.tensor(list(values), dtype=torch.float64)
        with peers():
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return [float(value) for value in tensor.tolist()]

    def table(self, values: Sequence[float]) -> list[list[float]]:
        own = torch.tensor(list(values), dtype=torch.float64)
        rows = [torch.empty_like(own) for _ in range(self.size)]
        with peers():
            dist.all_gather(rows, own)
        return [[float(value) for value in row.tolist()] for row in rows]

    def tell(self, document: Any) -> Any:
        return json.loads(self.gather(json.dumps(document).encode() if self.leads else b"null")[0])

    def gather(self, message: bytes) -> list[bytes]:
        lengths = [int(row[0]) for row in self.table([len(message)])]
        own = torch.zeros(max(1, *lengths), dtype=torch.uint8)
        own[: len(message)] = torch.frombuffer(bytearray(message or b"\0"), dtype=torch.uint8)[: len(message)]
        rows = [torch.empty_like(own) for _ in range(self.size)]
        with peers():
            dist.all_gather(rows, own)
        return [row[:length].numpy().tobytes() for row, length in zip(rows, lengths, strict=True)]


@contextlib.contextmanager
def peers() -> Iterator[None]:
    """Around every collective: what torch raises there means that another process is gone. Raises PeerLost."""
    try:
        yield
    except RuntimeError as error:  # each backend has its own words
        raise PeerLost(" ".join(str(error).split())[:300]) from error


def join(expected: int) -> ProcessGroup:
    """Join the group of the environment, and hide it from libraries that would divide the work again.

    Raises UserError when the group has another size than the run was planned for.
    """
    # transformers warns of a group that its trainer does not use; ours does what it would
    logging.getLogger("transformers.training_args").addFilter(lambda record: "parallel_mode" not in record.msg)
    cuda = torch.cuda.is_available()
    with peers():
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    for name in _FOREIGN:
        os.environ.pop(name, None)
    world = ProcessGroup()
    if world.size != expected:
        what = f"{world.size} processes were started, and the run was planned for {expected}."
        raise UserError(what, "training.devices", "Start it with `tunewright train`, which starts as many as it needs.")
    return world


def leave() -> None:
    """Give the group up, so that torch does not warn at the end. Never raises."""
    with contextlib.suppress(Exception):
        dist.destroy_process_group()
