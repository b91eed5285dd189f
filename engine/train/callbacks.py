"""What happens between the steps: reports, checks of health, evaluations, checkpoints, and whatever others ask for."""

from __future__ import annotations

import math
import time
from typing import Any

from transformers import TrainerCallback

from engine.errors import UserError
from engine.train import randomness
from engine.train.curves import curves_of
from engine.train.evaluator import Evaluator
from engine.train.health import cause_of_bad_numbers
from engine.train.orders import ENDING, Order
from engine.train.saving import Saver
from engine.train.session import Session


class Conductor(TrainerCallback):  # type: ignore[misc]
    """Sits beside the trainer. transformers calls `on_log` after every step, since every step is logged."""

    def __init__(self, session: Session, trainer: Any, saver: Saver, evaluator: Evaluator) -> None:
        self.session = session
        self.trainer = trainer
        self.saver = saver
        self.evaluator = evaluator
        self.stopped: Order | None = None
        """The order that ended training before its last step."""
        self.ended_early = False
        """Whether evaluations stopped getting better for longer than the recipe has patience."""
        self._mark = time.perf_counter()
        self._skipped = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.saver.random_state = randomness.capture()
        self.evaluator.begin()
        self._mark = time.perf_counter()

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.session.reporter.tick()
        if self.session.orders.look():
            self._obey(control)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Leave the weights alone when the gradient is no number: one such step would destroy all of them.

        With fp16 the gradient scaler does the same, and overflows are its way of finding the scale.
        """
        if not math.isfinite(self.trainer.gradient_norm) and self.trainer.accelerator.scaler is None:
            model.zero_grad(set_to_none=True)
            self._skipped = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return  # the summary at the end
        step = int(state.global_step)
        self.saver.random_state = randomness.capture()
        del state.log_history[:-1]
        if not math.isfinite(logs["loss"]):
            self.trainer._tr_loss.zero_()  # transformers resets its sum by subtracting it, and NaN - NaN is NaN
        self._report(step, float(state.epoch or 0.0), logs)
        self._check_health(step)
        self._evaluate_and_save(step, control)
        if self.session.orders.look():
            self._obey(control)
        self._mark = time.perf_counter()

    def _report(self, step: int, epoch: float, logs: dict[str, float]) -> None:
        seconds = time.perf_counter() - self._mark
        session, trainer = self.session, self.trainer
        progress = session.progress
        progress.tokens += trainer.step_tokens
        progress.trained_tokens += trainer.step_trained_tokens
        loss, norm = logs["loss"], logs.get("grad_norm", math.nan)
        marks = {"spike": True} if session.losses.add(step, loss, self._norm_that_counts(norm)) else {}
        session.reporter.step(
            seconds, step=step, total_steps=session.schedule.total_steps, epoch=round(epoch, 4), loss=loss,
            lr=logs["learning_rate"], grad_norm=norm, tokens=progress.tokens, trained_tokens=progress.trained_tokens,
            tokens_per_second=round(trainer.step_tokens / seconds, 1) if seconds else 0.0,
            **curves_of(logs), **marks, **self._memory_of_devices(),
        )  # fmt: skip

    def _memory_of_devices(self) -> dict[str, list[int]]:
        """What each device holds, where several share the run."""
        return {"device_mem": list(self.trainer.device_bytes)} if self.session.world.size > 1 else {}

    def _norm_that_counts(self, norm: float) -> float:
        """An overflow that the fp16 scaler skipped is part of its work."""
        scaled = self.trainer.accelerator.scaler is not None
        return 0.0 if scaled and self.trainer.accelerator.optimizer_step_was_skipped else norm

    def _check_health(self, step: int) -> None:
        watch, reporter, recipe = self.session.losses, self.session.reporter, self.session.recipe
        if self._skipped:
            self._skipped = False
            reporter.warning("The gradient was no number, so this step changed nothing.", f"step {step}", kind="nan")
        if watch.gone:
            cause = cause_of_bad_numbers(recipe.training.precision, recipe.training.learning_rate, recipe.method.name)
            what = f"The loss or its gradient has been no number since step {watch.first_bad_step}."
            raise UserError(what, f"step {step}", cause, exit_code=1)
        if watch.nothing_to_learn:
            what = "The loss is nearly zero from the first step on, so there is nothing to learn."
            fix = "Look at what the rows teach: tunewright data. Often the answer column is wrong or constant."
            raise UserError(what, f"step {step}", fix, exit_code=1)

    def _evaluate_and_save(self, step: int, control: Any) -> None:
        loss = self.evaluator.evaluate(step) if self.session.schedule.evaluates_at(step) else None
        patience = self.session.recipe.evaluation.patience
        better = loss is not None and self.session.evaluations.improves(loss)
        if patience and self.session.evaluations.stale >= patience and loss is not None:
            self._end_early(step, control)
        if self.session.schedule.saves_at(step) or (patience and better):  # the best one may become the result
            if loss is not None:
                self.session.evaluations.save(step, loss)
            self.saver.save()

    def _end_early(self, step: int, control: Any) -> None:
        best, self.ended_early = self.session.evaluations, True
        control.should_training_stop = True
        what = f"{best.stale} evaluations in a row were not better than the best, so the run ends here."
        fix = f"The result is the checkpoint of step {best.saved_step or step}, the best that was kept."
        self.session.reporter.warning(what, f"step {step}", fix, kind="patience")

    def shrunk(self, parts: int) -> None:
        """Say that memory ran out and what was done about it."""
        rows = max(1, self.session.recipe.training.micro_batch_size // parts)
        step = int(self.trainer.state.global_step) + 1
        self.session.reporter.event(
            "oom", durable=True, step=step, parts=parts, micro_batch_size=rows,
            detail=f"Memory ran out. Each micro-batch is now done in {parts} parts; the effective batch is the same."
            + getattr(self.trainer, "cut_note", ""),
        )  # fmt: skip

    def _obey(self, control: Any) -> None:
        for order in self.session.orders.take():
            if order.action in ENDING:
                self.stopped = order
                control.should_training_stop = True
            elif order.action == "save":
                self.saver.save()
            elif order.action == "evaluate" and self.evaluator.batches is not None:
                self.evaluator.evaluate(int(self.trainer.state.global_step))
            elif order.action == "sample":
                self.evaluator.write_samples(int(self.trainer.state.global_step))
