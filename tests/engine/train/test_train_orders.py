"""What others ask of a running engine: requests and signals, in the middle of a step and of an evaluation."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.runs.control import pending, request
from engine.runs.store import Run
from tests.engine.train.carried import Carried, RunFactory, carry

Hook = Callable[[Any], None]


@pytest.fixture(scope="module")
def whole(make_run: RunFactory) -> Carried:
    """The run that nobody disturbs."""
    return carry(make_run("undisturbed"))


@pytest.fixture
def at_micro_batch(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Hook], None]:
    """Do something in the middle of the accumulation of a step, once."""

    def install(step: int, hook: Hook) -> None:
        from engine.train.callbacks import Conductor

        before = Conductor.on_substep_end
        done: list[int] = []

        def on_substep_end(self: Conductor, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step + 1 == step and not done:
                done.append(step)
                hook(self)
            before(self, args, state, control, **rest)

        monkeypatch.setattr(Conductor, "on_substep_end", on_substep_end)

    return install


def ask_and_wait(action: str) -> Hook:
    """Write a request file and wait until the pulse has answered it."""

    def hook(conductor: Any) -> None:
        run: Run = conductor.session.run
        request(run, action)
        deadline = time.monotonic() + 5
        while pending(run) and time.monotonic() < deadline:
            time.sleep(0.01)

    return hook


@pytest.mark.parametrize("action", ["stop", "pause"])
def test_a_stop_in_the_middle_of_a_step_loses_nothing(
    make_run: RunFactory, whole: Carried, at_micro_batch: Callable[[int, Hook], None], action: str
) -> None:
    at_micro_batch(7, ask_and_wait(action))
    stopped = carry(make_run(f"mid-{action}"))
    assert stopped.code == 3
    control = stopped.of("control")[0]
    assert (control["action"], control["accepted"]) == (action, True)
    end = stopped.of("end")[-1]
    assert (end["reason"], end["step"]) == ("stopped", 6)
    assert {"stop": "Stopped", "pause": "Paused"}[action] in end["detail"]
    assert [event["step"] for event in stopped.of("checkpoint")] == [4, 6]
    assert (stopped.run.result_dir / "adapter" / "adapter_model.safetensors").exists()
    again = carry(stopped.run, resume=True)
    assert again.code == 0
    assert again.steps == whole.steps
    assert again.weights() == whole.weights()


def test_save_on_request_changes_nothing(
    make_run: RunFactory, whole: Carried, at_micro_batch: Callable[[int, Hook], None]
) -> None:
    at_micro_batch(6, ask_and_wait("save"))
    saved = carry(make_run("save-request"))
    assert saved.code == 0
    assert [event["step"] for event in saved.of("checkpoint")] == [4, 5, 8, 12]
    assert saved.steps == whole.steps
    assert saved.weights() == whole.weights()


def test_evaluate_on_request_changes_nothing(
    make_run: RunFactory, whole: Carried, at_micro_batch: Callable[[int, Hook], None]
) -> None:
    at_micro_batch(6, ask_and_wait("evaluate"))
    asked = carry(make_run("evaluate-request"))
    assert [event["step"] for event in asked.of("eval")] == [4, 5, 8, 12]
    assert asked.weights() == whole.weights()


def test_sigterm_stops_and_saves(make_run: RunFactory, at_micro_batch: Callable[[int, Hook], None]) -> None:
    def hook(conductor: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + 5
        while conductor.session.orders.ending is None and time.monotonic() < deadline:
            time.sleep(0.01)

    at_micro_batch(3, hook)
    stopped = carry(make_run("sigterm"))
    assert stopped.code == 3
    assert "SIGTERM" in stopped.of("end")[-1]["detail"]
    assert [event["step"] for event in stopped.of("checkpoint")] == [2]


def test_a_stop_during_evaluation_ends_it(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.train.evaluator import Evaluator
    from engine.train.orders import Order

    before = Evaluator.evaluate

    def evaluate(self: Any, step: int) -> None:
        self.session.orders.give(Order("stop", "x"))
        before(self, step)

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    stopped = carry(make_run("stop-in-eval"))
    assert stopped.code == 3
    assert stopped.of("eval") == []
    assert [event["step"] for event in stopped.of("checkpoint")] == [4]
