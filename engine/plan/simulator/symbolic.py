"""A tracker that notes, at every operation, which monomials are alive: the raw material of the tables."""

from __future__ import annotations

import math
import weakref
from functools import partial
from typing import Any

import torch

from engine.plan.simulator.request import Simulation
from engine.plan.simulator.step import make_tracker
from engine.plan.simulator.symbols import Polynomial, Probe, decode, dimension_table, scaled
from engine.plan.simulator.tracker import Record, Tracker

STATIC = ("weights", "adapters", "optimizer")  # constant through the step, computed without a table
Live = dict[tuple[str, str], float]
"""(part, monomial) -> bytes per unit."""


class SymbolicTracker(Tracker):
    """Beside the counting of `Tracker`, keeps the live set as polynomials and records it for the forward and backward
    pass."""

    def __init__(self, request: Simulation, probe: Probe) -> None:
        plain = make_tracker(request)
        super().__init__(1, {name: self._noting(extra) for name, extra in plain.extras.items()})
        self.probe, self.table = probe, dimension_table(probe)
        self.alive: Live = {}
        self.moments: dict[str, list[tuple[str, Live]]] = {"forward": [], "backward": []}
        self._terms: dict[int, Polynomial] = {}
        self._inner: Polynomial = {}

    def add(self, tensor: torch.Tensor, part: str, op: str = "") -> Record | None:
        record = super().add(tensor, part, op)
        if record is None:
            return None
        terms = self._bytes(tensor)
        self._terms[record.number] = terms
        self._change(part, terms, 1.0)
        record.reference = weakref.ref(tensor.untyped_storage(), partial(self._gone, record))
        return record

    def assign(self, tensor: torch.Tensor, part: str) -> None:
        record = self.live.get(tensor.untyped_storage(), None)
        before = record.part if record is not None else part
        super().assign(tensor, part)
        if record is not None and before != part:
            terms = self._terms.get(record.number, {})
            self._change(before, terms, -1.0)
            self._change(part, terms, 1.0)

    def mark(self, extra: int, op: str) -> None:
        super().mark(extra, op)
        if self.phase in self.moments:
            live = {key: value for key, value in self.alive.items() if key[0] not in STATIC and abs(value) > 1e-9}
            if extra:
                for name, value in self._inner.items():
                    live["workspace", name] = live.get(("workspace", name), 0.0) + value
            self.moments[self.phase].append((op, live))

    def _gone(self, record: Record, _: object = None) -> None:
        super()._gone(record)
        self._change(record.part, self._terms.pop(record.number, {}), -1.0)

    def _change(self, part: str, terms: Polynomial, sign: float) -> None:
        for name, value in terms.items():
            self.alive[part, name] = self.alive.get((part, name), 0.0) + sign * value

    def _bytes(self, tensor: torch.Tensor) -> Polynomial:
        """The bytes of a tensor's storage; a storage larger than its tensor counts in proportion."""
        held = tensor.untyped_storage().nbytes()
        seen = tensor.numel() * tensor.element_size()
        factor = tensor.element_size() * (held / seen if seen else 1.0)
        return scaled(decode(tensor.shape, self.table, self.probe), factor)

    def _noting(self, extra: Any) -> Any:
        """Wrap a kernel's inner allocation so that its size is kept as a polynomial too."""

        def noted(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
            size = int(extra(args, kwargs, result))
            shape = args[2] if isinstance(args[2], list | tuple | torch.Size) else args[0].shape
            elements = math.prod(int(part) for part in shape)
            self._inner = scaled(decode(shape, self.table, self.probe), size / max(1, elements))
            return size

        return noted
