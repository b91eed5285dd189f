"""The fold: the same events give the same picture, whatever the events are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.runs.events import EventLog
from engine.runs.history import History, load_history
from engine.runs.store import Run


def written(tmp_path: Path) -> tuple[Run, EventLog]:
    run = Run(tmp_path)
    return run, EventLog(run.events_path)


def test_a_run_is_folded_into_curves(tmp_path: Path) -> None:
    run, log = written(tmp_path)
    log.write("phase", phase="training")
    for step in range(1, 4):
        log.write("step", step=step, total_steps=3, epoch=step / 3, loss=3.0 - step, lr=1e-4, tokens=step * 10)
    log.write("eval", step=3, loss=0.5)
    log.write("checkpoint", step=3, path="checkpoints/step-00000003")
    log.write("end", reason="finished", step=3)
    history = load_history(run)
    assert list(history.loss.steps) == [1, 2, 3]
    assert list(history.loss.values) == [2.0, 1.0, 0.0]
    assert (history.step, history.total_steps, history.tokens) == (3, 3, 30)
    assert list(history.evals.values) == [0.5]
    assert history.checkpoints == [3]
    assert history.ended is not None


def test_following_takes_in_only_what_is_new(tmp_path: Path) -> None:
    run, log = written(tmp_path)
    history = History()
    log.write("step", step=1, loss=1.0)
    assert history.follow(run) == 1
    assert history.follow(run) == 0
    log.write("step", step=2, loss="NaN")
    assert history.follow(run) == 1
    assert math.isnan(history.loss.values[-1])


def test_a_rewind_forgets_what_came_after(tmp_path: Path) -> None:
    run, log = written(tmp_path)
    for step in range(1, 8):
        log.write("step", step=step, loss=float(step))
    log.write("checkpoint", step=4)
    log.write("checkpoint", step=6)
    log.write("rewind", step=4)
    history = load_history(run)
    assert list(history.loss.steps) == [1, 2, 3, 4]
    assert history.checkpoints == [4]
    log.write("step", step=5, loss=9.0)
    history.follow(run)
    assert list(history.loss.values) == [1, 2, 3, 4, 9]


def test_a_resumed_run_has_not_ended(tmp_path: Path) -> None:
    run, log = written(tmp_path)
    log.write("end", reason="stopped", step=3)
    assert load_history(run).ended is not None
    log.write("phase", phase="training")
    assert load_history(run).ended is None


FIELDS = st.dictionaries(
    st.sampled_from(["step", "loss", "lr", "total_steps", "epoch", "tokens", "t", "id", "reason", "phase"]),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers())),
)
KINDS = st.sampled_from(["step", "eval", "phase", "rewind", "checkpoint", "control", "end", "error", "unheard-of"])


@given(st.lists(st.tuples(KINDS, FIELDS), max_size=30))
def test_no_event_breaks_the_fold(events: list[tuple[str, dict[str, Any]]]) -> None:
    history = History()
    for kind, fields in events:
        history.add({"type": kind, **fields})
    assert history.revision == len(events)
    assert len(history.loss.steps) == len(history.loss.values)
