"""A queue of runs with a stand-in for the engine: order, GPUs, failures, stopping, taking over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.answer import Answer
from engine.errors import UserError
from engine.recipe import Recipe
from engine.runs import queue as queues
from engine.runs import queue_work
from engine.runs.liveness import Liveness
from engine.runs.queue import Queue, list_queues, make_queue, open_queue, standing
from engine.runs.queue_work import work_off
from engine.runs.store import Run, create_run


class Engines:
    """Runs that take two looks to finish; `refuse` names those that cannot be started."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.left: dict[str, int] = {}
        self.started: list[tuple[str, str, bool]] = []
        self.most = 0
        self.refuse: set[str] = set()
        self.asked: list[str] = []

    def start(self, run: Run, resume: bool = False, environment: dict[str, str] | None = None) -> int:
        if run.name in self.refuse:
            raise UserError("There is no such model.", "model.source", "Give another.")
        self.started.append((run.name, (environment or {}).get("CUDA_VISIBLE_DEVICES", ""), resume))
        self.states[run.name], self.left[run.name] = "running", 2
        self.most = max(self.most, sum(state == "running" for state in self.states.values()))
        return 1

    def liveness(self, run: Run) -> Liveness:
        return Liveness(self.states.get(run.name, "new"), "")  # type: ignore[arg-type]

    def pause(self, seconds: float) -> None:
        for name, state in self.states.items():
            if state == "running":
                self.left[name] -= 1
                self.states[name] = "running" if self.left[name] else "stopped" if name in self.asked else "finished"

    def request(self, run: Run, action: str) -> None:
        self.asked.append(run.name)
        self.left[run.name] = 1


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    found = Engines()
    monkeypatch.setattr(queues, "liveness", found.liveness)
    monkeypatch.setattr(queue_work, "liveness", found.liveness)
    monkeypatch.setattr(queue_work, "request", found.request)
    return found


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Queue]:
    def made(*names: str, devices: tuple[str, ...] = ("",)) -> Queue:
        recipe = Recipe.from_answers({key: Answer("x", "you", "") for key in ("model.source", "data.source")})
        return make_queue([create_run(recipe, tmp_path / "runs", name) for name in names], devices, {}, "night")

    return made


def work(queue: Queue, engines: Engines) -> int:
    return work_off(queue.path, engines.start, engines.pause)


def test_one_after_another_in_their_order(engines: Engines, make: Any) -> None:
    queue = make("a", "b", "c")
    assert work(queue, engines) == 0
    assert [name for name, _, _ in engines.started] == ["a", "b", "c"] and engines.most == 1
    assert {now.state for _, now in standing(queue)} == {"finished"}


def test_one_for_each_gpu(engines: Engines, make: Any) -> None:
    queue = make("a", "b", "c", devices=("GPU-1", "GPU-2"))
    assert work(queue, engines) == 0
    assert engines.most == 2
    assert engines.started == [("a", "GPU-1", False), ("b", "GPU-2", False), ("c", "GPU-1", False)]


def test_what_cannot_be_started_is_remembered_and_passed_over(engines: Engines, make: Any) -> None:
    engines.refuse = {"b"}
    queue = make("a", "b", "c")
    assert work(queue, engines) == 0
    assert [name for name, _, _ in engines.started] == ["a", "c"]
    assert queue.failures() == {"b": "There is no such model."}
    assert [now.state for _, now in standing(queue)] == ["finished", "failed", "finished"]


def test_stopping_saves_what_goes_on_and_starts_no_more(engines: Engines, make: Any) -> None:
    queue = make("a", "b")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            queue.ask_to_stop()
        engines.pause(seconds)

    assert work_off(queue.path, engines.start, pause) == 3
    assert engines.asked == ["a"] and engines.states == {"a": "stopped"}
    assert not queue.asked_to_stop, "the next worker is not stopped by an old request"
    engines.asked.clear()
    assert work(queue, engines) == 0
    assert engines.started[1:] == [("a", "", True), ("b", "", False)], "what was stopped with the queue goes on with it"


def test_a_run_that_a_person_stopped_stays_stopped(engines: Engines, make: Any) -> None:
    queue = make("a", "b")
    engines.states = {"a": "stopped"}
    assert work(queue, engines) == 0
    assert [name for name, _, _ in engines.started] == ["b"]


def test_a_new_worker_takes_over_what_goes_on_and_resumes_what_was_lost(engines: Engines, make: Any) -> None:
    queue = make("a", "b", "c", "d")
    engines.states = {"a": "finished", "b": "running", "c": "lost"}
    engines.left = {"b": 2}
    assert work(queue, engines) == 0
    assert engines.started == [("c", "", True), ("d", "", False)] and engines.most == 1


def test_a_second_worker_leaves_at_once(engines: Engines, make: Any) -> None:
    queue = make("a")
    with queue.held() as mine:
        assert mine and queue.worked_on
        assert work(queue, engines) == 2
    assert not queue.worked_on and engines.started == []


def test_a_look_at_the_queue_does_not_turn_its_worker_away(engines: Engines, make: Any) -> None:
    queue = make("a")
    with queue.held() as looking:
        assert looking
        results: list[int] = []
        worker = threading.Thread(target=lambda: results.append(work(queue, engines)))
        worker.start()
        time.sleep(0.1)
    worker.join()
    assert results == [0] and [name for name, _, _ in engines.started] == ["a"]


def test_queues_are_found_by_name_and_a_deleted_run_is_passed_over(engines: Engines, make: Any) -> None:
    queue = make("a", "b")
    (queue.runs()[0].path / "recipe.toml").unlink()
    assert list_queues() == [queue] and open_queue("night") == queue
    assert work(queue, engines) == 0
    assert [name for name, _, _ in engines.started] == ["b"]
    with pytest.raises(UserError, match="already a queue"):
        make_queue([], [""], {}, "night")
    for name in ("none", "../night"):
        with pytest.raises(UserError, match="no queue called"):
            open_queue(name)
