"""What the processes of a run say to each other, and the case of one process, which has nobody to ask.

Every method but `rank`, `size` and `leads` is a collective: all processes must call it at the same place, or those
that did wait for ever. So every question on which a later collective depends is asked here and never answered alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class PeerLost(Exception):
    """Another process of the run is gone, so that nothing can be agreed any more. The launcher knows why."""


class World(Protocol):
    """The processes that share one run. Rank 0 leads: it alone writes the run directory."""

    rank: int
    size: int

    @property
    def leads(self) -> bool: ...

    def most(self, values: Sequence[float]) -> list[float]:
        """The largest of each value over all processes."""

    def table(self, values: Sequence[float]) -> list[list[float]]:
        """The values of every process, one row a rank."""

    def tell(self, document: Any) -> Any:
        """What rank 0 says, as plain JSON; what others pass is not looked at."""

    def gather(self, message: bytes) -> list[bytes]:
        """The message of every process, in order of rank."""


class Alone:
    """A run of one process."""

    rank, size, leads = 0, 1, True

    def most(self, values: Sequence[float]) -> list[float]:
        return list(values)

    def table(self, values: Sequence[float]) -> list[list[float]]:
        return [list(values)]

    def tell(self, document: Any) -> Any:
        return document

    def gather(self, message: bytes) -> list[bytes]:
        return [message]


ALONE = Alone()
