"""The evaluations of a run while it trains: held-out loss, general text and samples, each said as an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.train.evaluation import Evaluation
from engine.train.general_text import GeneralText
from engine.train.out_of_memory import free_memory, is_out_of_memory
from engine.train.saving import Saver
from engine.train.session import Session
from engine.train.trackers import TrackerFeed

Samples = Callable[[int], None]
"""Has the model answer held-out prompts, and says them as of this step."""


class Evaluator:
    """Measures between two steps. `batches` is None where nothing is held out; then nobody asks."""

    def __init__(self, session: Session, trainer: Any, saver: Saver, batches: Any, write_samples: Samples) -> None:
        self.session = session
        self.trainer = trainer
        self.saver = saver
        self.batches = batches
        self.write_samples = write_samples
        self.general: GeneralText | None = None
        self.trackers: TrackerFeed | None = None

    def begin(self) -> None:
        """Measure what the untrained model knows of the general text, where there is one."""
        if self.general is not None:
            self.general.begin()

    def evaluate(self, step: int) -> float | None:
        """Measure the held-out loss, say it, and write samples. None when it was given up, since the run shall end."""
        reporter = self.session.reporter
        before = reporter.state["phase"]
        reporter.phase("evaluating", f"step {step}")
        found = self._measure(step)
        if found is not None:
            self._say(step, found)
            if step > 0 and self.session.evaluations.add(step, found.loss):
                self._say_that_it_rises(step)
            if self.session.orders.ending is None:
                self.write_samples(step)
        reporter.phase(before)
        return found.loss if found is not None else None

    def _measure(self, step: int) -> Evaluation | None:
        try:
            found: Evaluation | None = self.trainer.measure(self.batches, self._between)
            return found
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        free_memory()
        fix = "Training goes on. Free the device, or choose a shorter sequence length."
        self.session.reporter.warning("There was no memory for an evaluation.", f"step {step}", fix, kind="memory")
        return None

    def _between(self) -> bool:
        """Between two batches: save when asked to, and say whether to go on."""
        self.session.reporter.tick()
        if self.session.orders.look() and self.session.orders.take("save"):
            self.saver.save()
        return self.session.orders.ending is None

    def _say(self, step: int, found: Evaluation) -> None:
        self.session.reporter.state["eval_loss"] = found.loss
        fields = {**found.fields(), **(self.general.fields(step) if self.general is not None else {})}
        self.session.reporter.event("eval", durable=True, step=step, **fields)
        if self.trackers is not None:
            self.trackers.evaluated(step, fields)

    def _say_that_it_rises(self, step: int) -> None:
        best = self.session.evaluations
        self.session.reporter.warning(
            "The loss on held-out rows has risen three times in a row: the model begins to learn the rows by heart.",
            f"step {step}", f"Consider stopping. It was best at step {best.best_step} ({best.best_loss:.4f}).",
            kind="overfitting",
        )  # fmt: skip
