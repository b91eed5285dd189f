"""Send losses to TensorBoard, trackio, Weights & Biases or MLflow as well, by transformers' own callbacks.

They are opt-in, and a run never waits for one: each works in a thread of its own, behind a queue, and one that fails is
left out from then on with a warning. Where nothing else is set they write into the run directory: Weights & Biases is
offline unless WANDB_MODE says otherwise. Their keys come from their own files, never from a recipe, and those in the
environment are removed before training as all secrets are.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import TrainerCallback

from engine.train.reporter import Reporter
from engine.train.session import Session

TITLES = {"tensorboard": "TensorBoard", "trackio": "trackio", "wandb": "Weights & Biases", "mlflow": "MLflow"}
CALLBACKS = {"tensorboard": "TensorBoardCallback", "trackio": "TrackioCallback", "wandb": "WandbCallback",
             "mlflow": "MLflowCallback"}  # fmt: skip
WAITING = 10_000
"""Log lines that may wait for a slow tracker; more are dropped and counted."""
LAST_WORDS_SECONDS = 20.0
"""How long the end of a run waits for trackers to write their last lines."""


class Tracker:
    """One tracker in a thread of its own. `put` never waits."""

    def __init__(self, name: str, arguments: Any, reporter: Reporter) -> None:
        self.name = name
        self.dropped = 0
        self._arguments = arguments
        self._reporter = reporter
        self._waiting: queue.Queue[tuple[str, int, dict[str, Any]]] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def put(self, moment: str, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """Hand over one moment of a run: on_train_begin, on_log or on_train_end."""
        try:
            self._waiting.put_nowait((moment, step, dict(logs or {})))
        except queue.Full:
            self.dropped += 1

    def finish(self, seconds: float) -> None:
        """Wait at most so long for the last lines to be written."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            what = f"{TITLES[self.name]} did not finish in {seconds:g} s, so its last lines may be missing."
            self._reporter.warning(what, "tracking.to", kind="tracker")
        elif self.dropped:
            what = f"{TITLES[self.name]} was too slow: {self.dropped} of its lines were left out."
            self._reporter.warning(what, "tracking.to", kind="tracker")

    def _work(self) -> None:
        try:
            import transformers.integrations as integrations

            callback = getattr(integrations, CALLBACKS[self.name])()
            while True:
                moment, step, logs = self._waiting.get()
                self._tell(callback, moment, step, logs)
                if moment == "on_train_end":
                    _close(callback)
                    return
        except BaseException as error:  # whatever a tracker does, the run goes on
            traceback.print_exc(file=sys.stderr)
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            what = f"{TITLES[self.name]} failed and is left out from here on: {said}"
            self._reporter.warning(what, "tracking.to", "The run itself goes on.", kind="tracker")

    def _tell(self, callback: Any, moment: str, step: int, logs: dict[str, Any]) -> None:
        state = SimpleNamespace(global_step=step, is_world_process_zero=True, is_hyper_param_search=False,
                                trial_name=None, logging_steps=1, epoch=logs.get("epoch", 0.0))  # fmt: skip
        more = {"logs": logs} if moment == "on_log" else {}
        getattr(callback, moment)(self._arguments, state, None, **more)


def _close(callback: Any) -> None:
    """Weights & Biases writes its file only when it is told that a run is over; its callback does not say so."""
    library = getattr(callback, "_wandb", None)
    if library is not None:
        library.finish()


class TrackerFeed(TrainerCallback):  # type: ignore[misc]
    """Hands what the trainer logs to every tracker."""

    def __init__(self, session: Session, arguments: Any) -> None:
        tracking = session.recipe.tracking
        keep_at_home(session.run.path, tracking.project)
        arguments.run_name = session.run.name
        arguments.project = tracking.project  # trackio reads it there
        self._trackers = [Tracker(name, arguments, session.reporter) for name in tracking.to]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._put("on_train_begin", int(state.global_step))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        self._put("on_log", int(state.global_step), logs)

    def evaluated(self, step: int, fields: Mapping[str, float]) -> None:
        """An evaluation, under the names that transformers gives its own."""
        self._put("on_log", step, {f"eval_{name}": value for name, value in fields.items()})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._put("on_train_end", int(state.global_step))
        for tracker in self._trackers:
            tracker.finish(LAST_WORDS_SECONDS)

    def _put(self, moment: str, step: int, logs: Mapping[str, Any] | None = None) -> None:
        for tracker in self._trackers:
            tracker.put(moment, step, logs)


def keep_at_home(run: Path, project: str) -> None:
    """Where trackers write when a person has set nothing else: into the run directory, without the net or questions."""
    usual = {
        "TENSORBOARD_LOGGING_DIR": str(run / "tensorboard"), "TRACKIO_DIR": str(run / "trackio"),
        "WANDB_MODE": "offline", "WANDB_DIR": str(run), "WANDB_SILENT": "true", "WANDB_PROJECT": project,
        "WANDB_DISABLE_GIT": "true", "WANDB_DISABLE_CODE": "true", "WANDB_CONSOLE": "off",
        "MLFLOW_TRACKING_URI": (run / "mlruns").as_uri(), "MLFLOW_EXPERIMENT_NAME": project,
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }  # fmt: skip
    for name, value in usual.items():
        os.environ.setdefault(name, value)
