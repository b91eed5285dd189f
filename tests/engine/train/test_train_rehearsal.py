"""The rehearsal alone: it measures, stops before the first step, and the run goes on as if it had never stopped."""

from __future__ import annotations

import pytest

from engine.runs.process import REHEARSE_ONLY
from tests.engine.train.carried import RunFactory, carry


def test_a_rehearsal_measures_and_trains_nothing_and_the_run_goes_on_from_the_first_step(
    make_run: RunFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = carry(make_run("never-rehearsed-alone"))
    monkeypatch.setenv(REHEARSE_ONLY, "1")
    rehearsed = carry(make_run("rehearsed"))
    assert rehearsed.code == 3
    assert len(rehearsed.of("rehearsal")) == 1 and not rehearsed.of("step")
    assert "Rehearsed only" in rehearsed.of("end")[0]["detail"]
    monkeypatch.delenv(REHEARSE_ONLY)
    again = carry(rehearsed.run, resume=True)
    assert again.code == 0 and not again.of("rewind")
    assert again.steps == whole.steps and again.weights() == whole.weights()
