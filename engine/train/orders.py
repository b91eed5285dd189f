"""What others want from a running engine, handed from the pulse thread to the trainer."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

ENDING = frozenset({"stop", "pause"})


@dataclass(frozen=True)
class Order:
    """One accepted request. `identity` is empty for a signal, which nobody waits to see answered."""

    action: str
    identity: str = ""
    source: str = "request"
    arguments: dict[str, Any] = field(default_factory=dict)


class Orders:
    """A mailbox that costs the trainer one attribute read per micro-step."""

    def __init__(self) -> None:
        self.waiting = False
        self._guard = threading.Lock()
        self._queue: deque[Order] = deque()
        self._ending: Order | None = None

    @property
    def ending(self) -> Order | None:
        """The order to stop or pause that was given, if any. It stays until the run has ended."""
        return self._ending

    @property
    def asked_to_end(self) -> bool:
        """Whether somebody wants the run to end, even if not all of its processes know it yet."""
        return self._ending is not None

    def look(self) -> bool:
        """Whether an order waits; of several processes, each has to ask this at the same place."""
        return self.waiting

    def give(self, order: Order) -> bool:
        """Leave an order. False when the run is ending already, so that it would never be looked at."""
        with self._guard:
            if self._ending is not None:
                return False
            if order.action in ENDING:
                self._ending = order
            self._queue.append(order)
            self.waiting = True
            return True

    def take(self, action: str = "") -> list[Order]:
        """Every order that waits, oldest first; or only those for `action`."""
        with self._guard:
            taken = [order for order in self._queue if action in {"", order.action}]
            for order in taken:
                self._queue.remove(order)
            self.waiting = bool(self._queue)
            return taken

    def withdraw_ending(self) -> bool:
        """Forget an order to stop or pause that nobody has acted on yet. False when there is none."""
        with self._guard:
            waits = self._ending is not None and self._ending in self._queue
            if waits and self._ending is not None:
                self._queue.remove(self._ending)
                self._ending = None
                self.waiting = bool(self._queue)
            return waits
