"""The phases that need the training libraries: load, rehearse, train, leave a result."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.plan.memory import TrainingShape, estimate_memory
from engine.runs.process import REHEARSE_ONLY
from engine.train import checkpoint, disk
from engine.train.build import Machinery, build
from engine.train.objective import label_names
from engine.train.orders import Order
from engine.train.out_of_memory import OutOfMemory, free_memory
from engine.train.reference import EndedEarly
from engine.train.rehearse import no_memory, rehearse
from engine.train.result import ResultFacts, write_result
from engine.train.saving import NoRoom
from engine.train.session import Engine, Inputs, Restart
from engine.train.training_state import state_bytes


def go_through(inputs: Inputs, engine: Engine) -> str | None:
    """Load, rehearse and train. None when the run has finished, else why it stopped. Raises UserError."""
    try:
        machinery = build(inputs, engine)
    except EndedEarly:
        return "Stopped before the first step, so nothing was saved."
    start = inputs.start
    if start is not None and start.step >= machinery.session.schedule.total_steps:
        _leave_result(inputs, machinery)  # an earlier engine was killed between its last checkpoint and here
        return None
    _require_room(machinery)
    estimate = expected_bytes(inputs, machinery.trainer)
    engine.reporter.phase("rehearsal")
    rehearse(machinery.session, machinery.trainer, machinery.batches, estimate)
    if os.environ.get(REHEARSE_ONLY):
        return "Rehearsed only: it fits, and nothing was trained yet."
    machinery.samples.ask_base(untrained=start is None)
    engine.reporter.phase("training")
    engine.pulse.stance = "training"
    try:
        machinery.trainer.train(resume_from_checkpoint=str(start.path) if start is not None else None)
        machinery.saver.save()  # the end of training is a checkpoint too, wherever it came
    except OutOfMemory as error:
        where = f"step {machinery.trainer.state.global_step + 1}"
        _save_before_the_end(machinery)
        if engine.restarts == 0:
            raise Restart(where) from error
        raise no_memory(machinery.session, where) from error
    except NoRoom as error:
        return f"{error.what} The newest step could not be saved; the checkpoint before it is whole."
    _leave_result(inputs, machinery)
    return _why_stopped(machinery.conductor.stopped, machinery)


def _save_before_the_end(machinery: Machinery) -> None:
    """Weights and optimizer are those of the last finished step, so that nothing of it has to be lost."""
    machinery.trainer.model.zero_grad(set_to_none=True)
    free_memory()
    machinery.saver.save()


def expected_bytes(inputs: Inputs, trainer: Any) -> Callable[[int, int], int]:
    """What the plan expects for a micro-batch of (rows, tokens): allocated bytes on a GPU, all of it on a CPU."""
    recipe, device = inputs.recipe, trainer.args.device.type
    training = recipe.training

    def estimate(rows: int, tokens: int) -> int:
        shape = TrainingShape(
            recipe.method.name, rows, tokens, recipe.method.rank, training.gradient_checkpointing, training.optimizer,
            training.precision, training.gradient_accumulation_steps, tuple(recipe.method.target_modules),
            objective=recipe.method.objective, reference=recipe.method.reference, layers=recipe.method.layers,
            dora=recipe.method.dora, train_embeddings=recipe.method.train_embeddings, backend=recipe.method.backend,
        )  # fmt: skip
        memory = estimate_memory(inputs.files.spec, shape, "cuda" if device == "cuda" else "cpu")
        return memory.allocated_bytes if device == "cuda" else memory.total_bytes

    return estimate


def _require_room(machinery: Machinery) -> None:
    if not machinery.session.world.leads:
        return
    size = state_bytes(machinery.trainer)
    recipe, run = machinery.session.recipe, machinery.session.run
    disk.require_room(run.path, size, size // 3, max(2, recipe.checkpoints.keep))


def _leave_result(inputs: Inputs, machinery: Machinery) -> None:
    newest = _checkpoint_of_the_result(machinery)
    if newest is None or not machinery.session.world.leads:
        return
    session = machinery.session
    if session.orders.ending is None:  # else it is ending already, and a second signal leaves at once
        session.engine.pulse.stance = "exporting"
    session.reporter.phase("exporting", "writing the result")
    best = session.evaluations
    facts = ResultFacts(
        method=session.recipe.method.name, base_source=inputs.files.source, base_revision=inputs.files.revision,
        base_directory=str(inputs.directory), template=inputs.template.kind, format=inputs.data.format,
        steps=int(newest.name.split("-")[1]), total_steps=session.schedule.total_steps, best_step=best.best_step,
        best_eval_loss=best.best_loss if math.isfinite(best.best_loss) else None,
        objective=session.recipe.method.objective, labels=tuple(label_names(inputs)),
        ended_early=machinery.conductor.ended_early,
    )  # fmt: skip
    write_result(session.reporter.run, newest, machinery.tokenizer, inputs.template.text, facts)


def _checkpoint_of_the_result(machinery: Machinery) -> Path | None:
    """The newest checkpoint; of a run that ended since it got no better, the best one."""
    newest, best = machinery.saver.newest(), machinery.session.evaluations.saved_step
    if newest is None or not machinery.conductor.ended_early or not best:
        return newest
    found = checkpoint.step_directory(machinery.saver.root, best)
    return found if found.is_dir() else newest


def _why_stopped(order: Order | None, machinery: Machinery) -> str | None:
    state = machinery.trainer.state
    if order is None or state.global_step >= machinery.session.schedule.total_steps:
        return None
    words = {"pause": "Paused", "stop": "Stopped"}[order.action]
    by = f" by {order.source}" if order.source != "request" else ""
    saved = f"saved at step {state.global_step}" if state.global_step else "before the first step, so nothing was saved"
    return f"{words}{by}, {saved}."
