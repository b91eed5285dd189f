"""The rehearsal: the worst step of the run, done before the first one, so that memory runs out now or never.

The longest batch goes forward and backward, the optimizer takes a step that changes nothing, and one evaluation batch
is measured. Weights and random state are the same afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from engine.errors import UserError
from engine.train.dataset import largest_cut, rows_of, split_batch
from engine.train.memory import Peak, free_device_bytes, read_peak, reset_peak
from engine.train.out_of_memory import free_memory, is_out_of_memory
from engine.train.randomness import untouched
from engine.train.session import Session


def rehearse(session: Session, trainer: Any, batches: Any, estimate: Callable[[int, int], int]) -> None:
    """Rehearse, cutting micro-batches smaller until it fits, and write the `rehearsal` event.

    `estimate` says how many bytes the plan expects for so many rows of so many tokens. Raises UserError when even
    single rows do not fit.
    """
    device = trainer.args.device
    batch = trainer.longest_batch()
    started = time.monotonic()
    _warn_when_tight(session, trainer, estimate(rows_of(batch), batch["input_ids"].shape[1]))
    while True:
        reset_peak(device)
        try:
            with untouched():
                _worst_step(session, trainer, batch)
                if batches is not None:
                    trainer.measure([next(iter(batches))])
            failed = False
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if session.sharded:  # the others wait in the middle of a layer
                raise no_memory(session, "before the first step") from error
            failed = True
        if not session.world.most([float(failed)])[0]:
            break
        _shrink(session, trainer, batch)
    peak = read_peak(device)
    _clean(trainer)
    rows, tokens = rows_of(batch), batch["input_ids"].shape[1]
    rows_at_once = max(1, -(-rows // trainer.parts))
    session.reporter.event(
        "rehearsal", durable=True, device=device.type, allocated_bytes=peak.allocated_bytes,
        reserved_bytes=peak.reserved_bytes, free_bytes=free_device_bytes(device),
        estimate_bytes=estimate(rows_at_once, tokens), baseline_bytes=session.baseline_bytes,
        rows=rows, tokens=tokens, parts=trainer.parts, seconds=round(time.monotonic() - started, 3),
        **_of_each_device(session, peak, free_device_bytes(device)),
    )  # fmt: skip


def _of_each_device(session: Session, peak: Peak, free_bytes: int) -> dict[str, Any]:
    """What the rehearsal took on each device, where several share the run."""
    if session.world.size == 1:
        return {}
    rows = session.world.table([peak.allocated_bytes, peak.reserved_bytes, free_bytes])
    names = ("allocated_bytes", "reserved_bytes", "free_bytes")
    return {"devices": [dict(zip(names, map(int, row), strict=True)) for row in rows]}


def _warn_when_tight(session: Session, trainer: Any, expected_bytes: int) -> None:
    """Say before trying that it will be tight: on a CPU the kernel kills instead of refusing."""
    device = trainer.args.device
    if device.type == "cpu":
        expected_bytes *= session.world.size  # its processes share the memory
    there = free_device_bytes(device) + session.engine.pulse.memory_bytes()
    if expected_bytes > there > 0:
        what = f"The run is expected to need {expected_bytes / 1e9:.1f} GB, and {there / 1e9:.1f} GB are there."
        fix = "If it fails: a smaller micro-batch, a shorter sequence length, or QLoRA."
        session.reporter.warning(what, str(device), fix, kind="memory")


def _worst_step(session: Session, trainer: Any, batch: dict[str, Any]) -> None:
    """One training step with the optimizer's state in place. On a GPU a second pass runs beside that state."""
    device = trainer.args.device
    trainer.model.train()
    trainer.create_optimizer()
    pieces = split_batch({k: v.to(device) if torch.is_tensor(v) else v for k, v in batch.items()}, trainer.parts)
    _forward_and_backward(session, trainer, pieces)
    trainer.step_without_effect()
    if device.type != "cpu":
        _forward_and_backward(session, trainer, pieces)


def _forward_and_backward(session: Session, trainer: Any, pieces: list[dict[str, Any]]) -> None:
    for piece in pieces:
        session.reporter.tick()
        with trainer.accelerator.autocast():
            loss = trainer.compute_loss(trainer.model, dict(piece), num_items_in_batch=None)
        trainer.backward(loss)


def _shrink(session: Session, trainer: Any, batch: dict[str, Any]) -> None:
    _clean(trainer)
    parts = trainer.parts
    if parts >= largest_cut([batch]):
        raise no_memory(session, "before the first step")
    trainer.parts = parts * 2
    session.reporter.event("oom", durable=True, step=session.reporter.state["step"], parts=trainer.parts,
                           micro_batch_size=max(1, trainer.args.per_device_train_batch_size // trainer.parts),
                           detail="The longest batch does not fit. Micro-batches are cut in two; the effective batch "
                                  "stays as it is." + getattr(trainer, "cut_note", ""))  # fmt: skip


def _clean(trainer: Any) -> None:
    trainer.forget_practice()
    free_memory()


def no_memory(session: Session, where: str) -> UserError:
    """What to say when not even one row at a time fits, with the settings that would help most, in order."""
    training, method = session.recipe.training, session.recipe.method.name
    remedies = []
    if not training.gradient_checkpointing:
        remedies.append("switch gradient checkpointing on (training.gradient_checkpointing)")
    if method != "qlora":
        remedies.append(f"choose {'LoRA or QLoRA' if method == 'full' else 'QLoRA'} (method.name)")
    if "8bit" not in training.optimizer and method == "full":
        remedies.append("use an 8-bit optimizer (training.optimizer)")
    remedies.append(f"choose a shorter sequence length than {training.sequence_length} (training.sequence_length)")
    fix = remedies[0][0].upper() + remedies[0][1:] + "".join(f", or {remedy}" for remedy in remedies[1:]) + "."
    return UserError("The device's memory does not suffice, even with one row at a time.", where, fix, exit_code=1)
