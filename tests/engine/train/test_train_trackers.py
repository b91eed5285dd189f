"""Trackers get what a run logs, and a run neither waits for one nor falls over it."""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.machine.trackers import require_trackers
from engine.runs.store import Run
from tests.engine.train.carried import Carried, RunFactory, carry

OWN = ("TENSORBOARD_LOGGING_DIR", "TRACKIO_DIR", "WANDB_MODE", "WANDB_DIR", "WANDB_SILENT", "WANDB_PROJECT",
       "WANDB_DISABLE_GIT", "WANDB_DISABLE_CODE", "WANDB_CONSOLE", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME",
       "MLFLOW_ALLOW_FILE_STORE")  # fmt: skip


@pytest.fixture(autouse=True)
def no_settings_of_trackers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run sets what is not set, in its own process; here it is this one, so it is put back."""
    for name in OWN:
        monkeypatch.setenv(name, "x")  # so that it is removed again afterwards
        monkeypatch.delenv(name)


class Listener:
    """A tracker that remembers what it was told."""

    told: list[tuple[str, int, dict[str, Any]]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.told.append(("begin", state.global_step, {"run": args.run_name}))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
        self.told.append(("log", state.global_step, logs))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.told.append(("end", state.global_step, {}))


class Hanging(Listener):
    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        time.sleep(30)  # a tracker that asks a net that is not there


class Failing(Listener):
    def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
        raise ConnectionError("no route to host")


def tracked(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch, name: str, listener: type) -> Carried:
    import transformers.integrations as integrations

    monkeypatch.setattr(integrations, "TensorBoardCallback", listener)
    monkeypatch.setattr("engine.train.work.require_trackers", lambda names: None)
    return carry(make_run(name, tracking__to=["tensorboard"]))


def test_a_tracker_is_told_every_step_and_evaluation(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    Listener.told = []
    done = tracked(make_run, monkeypatch, "tracked", Listener)
    assert done.code == 0
    assert Listener.told[0] == ("begin", 0, {"run": "tracked"})
    assert Listener.told[-1][0] == "end"
    losses = {step: logs["loss"] for kind, step, logs in Listener.told if kind == "log" and "loss" in logs}
    assert losses == {event["step"]: event["loss"] for event in done.of("step")}
    evaluated = {step: logs["eval_loss"] for kind, step, logs in Listener.told if kind == "log" and "eval_loss" in logs}
    assert evaluated == {event["step"]: event["loss"] for event in done.of("eval")}
    assert not [event for event in done.of("warning") if event.get("kind") == "tracker"]


def test_a_tracker_that_hangs_delays_nothing_but_the_end(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.train.trackers.LAST_WORDS_SECONDS", 0.3)
    started = time.monotonic()
    done = tracked(make_run, monkeypatch, "hanging", Hanging)
    assert time.monotonic() - started < 15
    assert done.code == 0
    assert len(done.of("step")) == 12
    assert any("did not finish" in event["what"] for event in done.of("warning"))


def test_a_tracker_that_fails_is_left_out(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = carry(make_run("untracked"))
    done = tracked(make_run, monkeypatch, "failing", Failing)
    assert done.code == 0
    assert done.steps == plain.steps
    assert done.weights() == plain.weights()
    said = [event for event in done.of("warning") if event.get("kind") == "tracker"]
    assert len(said) == 1
    assert "no route to host" in said[0]["what"]


def test_a_missing_package_is_said_with_the_command() -> None:
    with pytest.raises(UserError) as caught:
        require_trackers(["tensorboard", "nothing"])
    assert "'nothing'" in caught.value.what
    if find_spec("trackio") is None:
        with pytest.raises(UserError) as missing:
            require_trackers(["trackio"])
        assert "pip install trackio" in missing.value.fix


def test_a_run_with_a_missing_tracker_ends_before_it_loads_anything(
    make_run: RunFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.machine.trackers.is_installed", lambda name: False)
    done = carry(make_run("no-tracker", tracking__to=["wandb"]))
    assert done.code == 2
    assert "wandb" in done.of("error")[0]["what"]
    assert [event["phase"] for event in done.of("phase")] == ["reading data"]


def test_tensorboard_really_holds_the_losses(make_run: RunFactory) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-not-found,unused-ignore]
        EventAccumulator,
    )

    done = carry(make_run("tensorboard", tracking__to=["tensorboard"]))
    written = EventAccumulator(str(done.run.path / "tensorboard"))
    written.Reload()
    losses = {event.step: event.value for event in written.Scalars("train/loss")}
    assert losses == pytest.approx({event["step"]: event["loss"] for event in done.of("step")})
    assert [event.step for event in written.Scalars("eval/loss")] == [4, 8, 12]


def test_weights_and_biases_stays_offline_and_holds_no_key(
    make_run: RunFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789secret")
    done = carry(make_run("wandb", tracking__to=["wandb"]))
    assert done.code == 0
    assert os.environ.get("WANDB_MODE") == "offline"
    files = [path for path in (done.run.path / "wandb").rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" and path.stat().st_size > 1000 for path in files)
    assert not holding(done.run, b"0123456789secret")


def holding(run: Run, secret: bytes) -> list[Path]:
    """Files of a run that hold a secret."""
    return [path for path in run.path.rglob("*") if path.is_file() and secret in path.read_bytes()]
