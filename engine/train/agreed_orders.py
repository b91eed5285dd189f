"""Orders for a run of several processes: every one of them obeys the same orders at the same micro-batch."""

from __future__ import annotations

import json
from typing import Any

from engine.train.orders import Order, Orders
from engine.train.world import World


class AgreedOrders(Orders):
    """Holds only what all processes have heard of. `inbox` is where requests and signals of this process arrive.

    One process that stopped alone would leave the others waiting for its gradients for ever.
    """

    def __init__(self, inbox: Orders, world: World) -> None:
        super().__init__()
        self.inbox = inbox
        self._world = world

    @property
    def asked_to_end(self) -> bool:
        return self.ending is not None or self.inbox.ending is not None

    def look(self) -> bool:
        """A collective: hear what any process was told since the last look. One small message when it was nothing."""
        if self._world.most([float(self.inbox.waiting)])[0]:
            told = json.dumps([_as_dict(order) for order in self.inbox.take()]).encode()
            for message in self._world.gather(told):
                for fields in json.loads(message):
                    self.give(Order(**fields))
        return self.waiting


def _as_dict(order: Order) -> dict[str, Any]:
    return {"action": order.action, "identity": order.identity, "source": order.source, "arguments": order.arguments}
