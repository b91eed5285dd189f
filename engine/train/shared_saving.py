"""Save a checkpoint of a run of several processes: rank 0 writes, and all of them know how it went."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from engine.errors import UserError
from engine.train.gradients import checksum
from engine.train.saving import NoRoom, Saver
from engine.train.sharing import random_state_name
from engine.train.training_state import Whole


class SharedSaver(Saver):
    """`save` is a collective: every process calls it at the same step, and it returns or raises alike in all."""

    _states: tuple[bytes, ...] = ()

    def save(self) -> Path | None:
        world = self.session.world
        if int(self.trainer.state.global_step) == 0:
            return None
        self._refuse_drift()
        self._states = tuple(world.gather(_dumped(self.random_state)))
        self.whole = self._gather()
        outcome: dict[str, Any] = {}
        if world.leads:
            try:
                outcome = {"path": str(super().save())}
            except NoRoom as error:
                outcome = {"no_room": error.what}
            except UserError as error:
                outcome = {"error": error.as_dict()}
        self.whole = None
        return _taken(world.tell(outcome))

    def _gather(self) -> Whole | None:
        """What no process has alone; None where each has all of it."""
        return None

    def _write(self, staging: Path) -> None:
        super()._write(staging)
        for rank, state in enumerate(self._states[1:], 1):
            (staging / random_state_name(rank)).write_bytes(state)

    def _refuse_drift(self) -> None:
        """UserError in all processes when their weights differ, which no later step would mend."""
        own = checksum(weight for weight in self.trainer.model.parameters() if weight.requires_grad)
        found = {row[0] for row in self.session.world.table([own])}
        if len({value for value in found if value == value}) > 1:
            what = "The weights of the processes differ, so the run is not what it should be."
            fix = "Resume from the last checkpoint. If it happens again, a GPU computes wrongly: try them one by one."
            raise UserError(what, f"step {self.trainer.state.global_step}", fix, exit_code=1)


def _taken(outcome: dict[str, Any]) -> Path:
    if "no_room" in outcome:
        raise NoRoom(str(outcome["no_room"]))
    if "error" in outcome:
        raise UserError.from_dict(outcome["error"])
    return Path(outcome["path"])


def _dumped(state: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()
