"""How far an engine is, and what may be asked of it there."""

from __future__ import annotations

from typing import Literal

from engine.runs.control import Request
from engine.train.orders import ENDING, Order, Orders

Stance = Literal["early", "training", "exporting", "closing"]
"""early: nothing would be lost by leaving. training: the trainer saves first. exporting: all is saved, and the result
can be written again by resuming. closing: the end is being written."""
AT_ONCE: dict[Stance, str] = {
    "early": "before training began.", "exporting": "while the result was written; resuming writes it again.",
}  # fmt: skip
"""Where the run can be left from here, without waiting for the main thread, and how that is told."""


def decide(request: Request, stance: Stance, orders: Orders) -> tuple[bool, str]:
    """Whether a request is accepted, and a sentence about it. An accepted order is given before this returns."""
    action = request.action
    if action == "resume":
        withdrawn = orders.withdraw_ending()
        return withdrawn, "It goes on." if withdrawn else "It is running."
    if stance == "closing":
        return False, "The run is at its end."
    if stance == "early":
        if action in ENDING:
            return True, "There is nothing to save yet."
        return False, "Training has not begun."
    if stance == "exporting":
        if action in ENDING:
            return True, "Everything is saved; resuming writes the result."
        return False, "Everything is saved, and the result is being written."
    if not orders.give(Order(action, request.identity, arguments=request.arguments)):
        return False, "The run is stopping already."
    return True, "At the next micro-batch."
