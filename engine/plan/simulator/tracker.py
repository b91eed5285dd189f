"""Follow every storage that a step creates: live bytes by part, the peak, and a trace for the allocator."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

Extra = Callable[[tuple[Any, ...], dict[str, Any], Any], int]
"""Bytes that a kernel allocates inside itself, from its arguments, keyword arguments and result."""

MATRIX_PRODUCTS = frozenset({"aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "bitsandbytes::gemm_4bit"})
PART_OF_PHASE = {"forward": "activations", "backward": "workspace", "step": "workspace"}


def without_numbers(func: Any, args: tuple[Any, ...]) -> Any:
    """The answer to an operation whose result hangs on numbers, which fake tensors do not have; None for all others.

    A mask chooses everything, of the rows of a batch a half is good, and a number that is asked for is one.
    """
    if func is torch.ops.aten._local_scalar_dense.default:
        if type(args[0]) is not FakeTensor:
            return None
        return True if args[0].dtype == torch.bool else 1.0 if args[0].is_floating_point() else 1
    if func is torch.ops.aten.nonzero.default:
        return args[0].new_empty((-(-args[0].numel() // 2), args[0].dim()), dtype=torch.int64)
    if func is torch.ops.aten.index.Tensor and any(one is not None and one.dtype == torch.bool for one in args[1]):
        mask = next(one for one in args[1] if one is not None)
        return args[0].new_empty((mask.numel(), *args[0].shape[mask.dim() :]))
    return None


class Record:
    """One live storage."""

    __slots__ = ("number", "op", "part", "reference", "shape", "size")

    def __init__(self, number: int, size: int, part: str, op: str, shape: tuple[int, ...]) -> None:
        self.number, self.size, self.part, self.op, self.shape = number, size, part, op, shape
        self.reference: Any = None


class Tracker(TorchDispatchMode):  # type: ignore[misc]
    """Counts the distinct storages behind all results of all operations while it is active.

    `rounding` is the allocator's step (512 on CUDA, 1 on a CPU); `extras` are the kernels' inner allocations by
    operation;
    `handle_workspace` is taken once by the first matrix product of the forward and of the backward pass (two cuBLAS
    handles).
    """

    def __init__(self, rounding: int, extras: dict[str, Extra], handle_workspace: int = 0) -> None:
        super().__init__()
        self.rounding, self.extras, self.handle_workspace = rounding, extras, handle_workspace
        self.live = WeakIdKeyDictionary()
        self.bytes_live = 0
        self.parts: dict[str, int] = {}
        self.peak_bytes, self.peak_parts, self.peak_moment = 0, dict[str, int](), ("", "")
        self.phase_peaks: dict[str, int] = {}
        self.phase = "load"
        self.part = "weights"
        self.trace: list[tuple[int, int]] = []
        self.operations = self.loaded = self.prepared = 0
        self._requests = 0
        self._handles_taken: set[str] = set()

    def begin(self, phase: str) -> None:
        """Enter a phase; what is created from now on belongs to that phase's part."""
        self.phase, self.part = phase, PART_OF_PHASE.get(phase, self.part)
        self.mark(0, "begin")

    @contextmanager
    def labelled(self, part: str) -> Iterator[None]:
        """What is created inside belongs to `part`."""
        before, self.part = self.part, part
        try:
            yield
        finally:
            self.part = before

    def add(self, tensor: torch.Tensor, part: str, op: str = "") -> Record | None:
        """Count a tensor's storage unless it is counted already."""
        storage = tensor.untyped_storage()
        if storage in self.live:
            return None
        size = int(storage.nbytes())
        size = -(-size // self.rounding) * self.rounding
        record = Record(self.request(size), size, part, op, tuple(tensor.shape))
        record.reference = weakref.ref(storage, partial(self._gone, record))
        self.live[storage] = record
        self.bytes_live += size
        self.parts[part] = self.parts.get(part, 0) + size
        return record

    def assign(self, tensor: torch.Tensor, part: str) -> None:
        """Move a tensor's storage to another part, counting it if it is new."""
        record = self.live.get(tensor.untyped_storage(), None)
        if record is None:
            self.add(tensor, part)
        elif record.part != part:
            self.parts[record.part] -= record.size
            record.part = part
            self.parts[part] = self.parts.get(part, 0) + record.size

    def request(self, size: int) -> int:
        """Note an allocation in the trace; returns its number (0 for an empty one, which is never given back)."""
        if size <= 0:
            return 0
        self._requests += 1
        self.trace.append((self._requests, size))
        return self._requests

    def give_back(self, number: int) -> None:
        """Note that a request's memory is free again."""
        if number:
            self.trace.append((number, -1))

    def brief(self, size: int) -> None:
        """An allocation that is gone at once."""
        self.give_back(self.request(size))

    def mark(self, extra: int, op: str) -> None:
        """Compare the present with the peak; `extra` bytes exist only inside the operation."""
        present = self.bytes_live + extra
        if present > self.phase_peaks.get(self.phase, 0):
            self.phase_peaks[self.phase] = present
        if present > self.peak_bytes:
            self.peak_bytes, self.peak_moment = present, (self.phase, op)
            self.peak_parts = {name: size for name, size in self.parts.items() if size}
            if extra:
                self.peak_parts["workspace"] = self.peak_parts.get("workspace", 0) + extra

    def _gone(self, record: Record, _: object = None) -> None:
        self.give_back(record.number)
        self.bytes_live -= record.size
        self.parts[record.part] -= record.size

    def take_handle(self, phase: str) -> None:
        """The work space of the matrix products of a phase, taken once and never given back."""
        if phase in self._handles_taken or not self.handle_workspace:
            return
        self._handles_taken.add(phase)
        self.request(self.handle_workspace)
        self.bytes_live += self.handle_workspace
        self.parts["workspace"] = self.parts.get("workspace", 0) + self.handle_workspace

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default and type(args[0]) is FakeTensor:
            return args[0].fake_device  # two of three dispatches only ask for the device
        kwargs = kwargs or {}
        found = without_numbers(func, args)
        if isinstance(found, bool | int | float):
            return found
        result = func(*args, **kwargs) if found is None else found
        name = func._schema.name
        self.operations += 1
        for leaf in (result,) if isinstance(result, torch.Tensor) else tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.add(leaf, self.part, name)
        inner = self.extras.get(name)
        extra = inner(args, kwargs, result) if inner is not None else 0
        if extra:
            self.brief(extra)
        if name in MATRIX_PRODUCTS:
            self.take_handle(self.phase)
        self.mark(extra, name)
        return result
