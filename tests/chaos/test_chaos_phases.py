"""A stop in every phase: answered within a second while the main thread is busy, and the run is whole afterwards."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.runs.control import request
from engine.runs.store import Run
from tests.chaos.rig import Child, Workshop, carry_in_child, digest
from tests.engine.train.carried import Carried

pytestmark = pytest.mark.xdist_group("chaos")
PHASES = ("reading data", "loading model", "rehearsal", "training", "evaluating", "saving", "exporting")
BUSY_SECONDS = 1.2
SETTINGS: dict[str, Any] = {"evaluation__held_out_rows": 6, "evaluation__every_steps": 3}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    import engine.train.phases  # noqa: F401  (imported once here, so that forked children have it)

    return Workshop.build(tmp_path_factory.mktemp("phases"))


@pytest.fixture(scope="module")
def weights(workshop: Workshop) -> str:
    run = workshop.run("undisturbed", **SETTINGS)
    assert carry_in_child(run).wait() == 0
    return digest(run)


def busy_in(phase: str) -> Callable[[Callable[[], None]], None]:
    """Patch: say a byte when the phase begins, and keep the main thread busy for longer than an answer may take."""

    def patch(say: Callable[[], None]) -> None:
        from engine.train.reporter import Reporter

        before = Reporter.phase
        done: list[str] = []

        def entered(self: Any, name: str, detail: str = "") -> None:
            before(self, name, detail)
            if name == phase and not done:
                done.append(name)
                say()
                time.sleep(BUSY_SECONDS)

        Reporter.phase = entered  # type: ignore[method-assign]

    return patch


def begin(workshop: Workshop, name: str, phase: str) -> tuple[Run, Child]:
    run = workshop.run(name, **SETTINGS)
    child = carry_in_child(run, before=busy_in(phase))
    assert child.hear()
    return run, child


def _quick(phases: tuple[str, ...], quick: tuple[str, ...]) -> list[Any]:
    """Every phase in the long tier, those that differ most in the suite."""
    return [phase if phase in quick else pytest.param(phase, marks=pytest.mark.long) for phase in phases]


@pytest.mark.parametrize("phase", _quick(PHASES, ("rehearsal", "evaluating", "exporting")))
def test_a_stop_is_answered_within_a_second_and_loses_nothing(workshop: Workshop, weights: str, phase: str) -> None:
    run, child = begin(workshop, f"stop-{PHASES.index(phase)}", phase)
    asked = time.time()
    request(run, "stop")
    code = child.wait()
    said = Carried(run)
    answer = said.of("control")[0]
    assert answer["accepted"] is True
    assert answer["t"] - asked < 1.0
    assert (code, run.state()["stop_reason"]) == (3, "stopped")
    trained = [event["step"] for event in said.of("step")]
    saved = [event["step"] for event in said.of("checkpoint")]
    assert trained[-1:] == saved[-1:], "every step that was done is saved"
    assert len(trained) == {"training": 0, "evaluating": 3, "saving": 3, "exporting": 12}.get(phase, 0)
    assert carry_in_child(run, resume=True).wait() == 0
    assert digest(run) == weights


@pytest.mark.parametrize("phase", _quick(PHASES[2:3] + PHASES[4:], ("saving",)))
def test_a_save_is_answered_within_a_second(workshop: Workshop, weights: str, phase: str) -> None:
    run, child = begin(workshop, f"save-{PHASES.index(phase)}", phase)
    asked = time.time()
    request(run, "save")
    assert child.wait() == 0
    answer = Carried(run).of("control")[0]
    assert answer["t"] - asked < 1.0
    assert answer["accepted"] is (phase in {"evaluating", "saving"})
    assert digest(run) == weights


@pytest.mark.parametrize("phase", _quick(("loading model", "evaluating", "exporting"), ("evaluating",)))
def test_two_signals_end_it_now(workshop: Workshop, weights: str, phase: str) -> None:
    run, child = begin(workshop, f"twice-{PHASES.index(phase)}", phase)
    started = time.monotonic()
    os.kill(child.pid, signal.SIGTERM)
    time.sleep(0.05)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == 3
    assert time.monotonic() - started < 1.0, "it did not wait for the main thread"
    assert "SIGTERM" in Carried(run).of("end")[-1]["detail"]
    assert carry_in_child(run, resume=True).wait() == 0
    assert digest(run) == weights
