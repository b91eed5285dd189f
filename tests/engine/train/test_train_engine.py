"""The engine around the training: its voice on a full disk, its watchdog, its restart, its claim on a GPU."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from engine.runs import recover
from engine.runs.events import EventLog, iterate_events
from engine.runs.store import Run
from engine.train import gpu_lock, pulse, reporter, run, stall
from engine.train.orders import Orders
from engine.train.pulse import Pulse
from engine.train.reporter import Reporter
from engine.train.session import Restart
from tests.engine.train.carried import RunFactory, carry


@pytest.fixture
def quiet_run(tmp_path: Path) -> Run:
    (tmp_path / "control").mkdir()
    (tmp_path / "recipe.toml").write_text("")
    return Run(tmp_path)


def kinds(of: Run) -> list[str]:
    return [event["type"] for event in iterate_events(of.events_path)]


def test_events_wait_while_the_disk_is_full(quiet_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = Reporter(quiet_run)
    assert (quiet_run.path / ".ballast").stat().st_size == reporter.BALLAST_BYTES
    voice.event("warning", what="one")
    real = os.write

    def refuse(descriptor: int, data: bytes) -> int:
        if data.endswith(b"}\n") and b'"two"' in data:
            real(descriptor, data[:20])
            return 20
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.runs.events.os.write", refuse)
    voice.event("warning", what="two")
    voice.event("warning", what="three")
    assert not (quiet_run.path / ".ballast").exists()
    monkeypatch.undo()
    voice.event("warning", what="four")
    said = [event["what"] for event in iterate_events(quiet_run.events_path)]
    assert said == ["one", "two", "three", "four"]


def test_a_short_write_spoils_one_line_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    real = os.write
    monkeypatch.setattr("engine.runs.events.os.write", lambda descriptor, data: real(descriptor, data[:10]))
    with pytest.raises(OSError, match="No space"):
        log.write("step", step=1)
    monkeypatch.undo()
    log.write("step", step=2)
    assert [event["step"] for event in iterate_events(tmp_path / "events.jsonl")] == [2]


def test_the_snapshot_is_valid_json_whatever_the_loss(quiet_run: Run) -> None:
    voice = Reporter(quiet_run)
    voice.step(0.1, step=1, total_steps=2, epoch=0.5, loss=float("nan"), lr=1e-3, tokens_per_second=10.0)
    voice.write_state()
    state = json.loads(quiet_run.state_path.read_text())
    assert state["loss"] == "nan"
    assert state["eta_seconds"] == pytest.approx(0.1)
    assert state["mono"] <= time.monotonic()


def test_the_watchdog_reports_a_stall_once_with_stacks(
    quiet_run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stall, "STALL_FLOOR_SECONDS", 0.05)
    voice = Reporter(quiet_run)
    watch = stall.StallWatch(voice)
    time.sleep(0.1)
    watch.look()
    watch.look()
    voice.tick()
    watch.look()
    said = [event["what"] for event in iterate_events(quiet_run.events_path)]
    assert len(said) == 2
    assert "Nothing has moved" in said[0]
    assert "moves again" in said[1]


def test_a_broken_request_does_not_end_the_pulse(quiet_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail(*_: Any) -> list[Any]:
        calls.append(1)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(pulse, "pending", fail)
    monkeypatch.setattr(pulse, "POLL_SECONDS", 0.01)
    beat = Pulse(quiet_run, Reporter(quiet_run), Orders())
    beat.install()
    beat.start()
    time.sleep(0.2)
    assert beat.is_alive()
    beat.finish()
    assert len(calls) > 2


def test_memory_gone_twice_restarts_the_engine_once(make_run: RunFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """From step 6 on not even a single row fits: save, start afresh, resume; when it happens again, say what helps."""
    import torch

    from engine.train.trainer import RunTrainer

    before = RunTrainer.compute_loss

    def compute_loss(self: Any, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        if self.is_in_train and self.state.global_step >= 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return before(self, model, inputs, *rest, **named)

    monkeypatch.setattr(RunTrainer, "compute_loss", compute_loss)
    started: list[tuple[Run, int]] = []
    monkeypatch.setattr(run, "start_afresh", lambda place, count: started.append((place, count)))
    first = carry(make_run("afresh"))
    assert started == [(first.run, 1)]
    assert [event["step"] for event in first.of("checkpoint")] == [4, 5]
    assert "end" not in kinds(first.run)
    monkeypatch.setenv(run.RESTARTS, "1")
    second = carry(first.run, resume=True)
    assert len(started) == 1
    assert second.code == 1
    assert "memory" in second.of("error")[0]["what"]
    assert len(second.of("step")) == 5


def test_starting_afresh_is_the_same_command(monkeypatch: pytest.MonkeyPatch, quiet_run: Run) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: seen.append(arguments))
    monkeypatch.setenv(run.RESTARTS, "0")
    run.start_afresh(quiet_run, 1)
    assert seen[0][-3:] == ["train", str(quiet_run.path), "--resume"]
    assert os.environ[run.RESTARTS] == "1"
    assert issubclass(Restart, Exception)


def test_a_second_run_on_a_gpu_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    hears, says = os.pipe()
    pid = os.fork()
    if pid == 0:
        gpu_lock.claim_gpu("GPU-1")
        os.write(says, b".")
        time.sleep(30)
        os._exit(0)
    try:
        os.read(hears, 1)
        assert gpu_lock.claim_gpu("GPU-2") is None
        assert gpu_lock.claim_gpu("GPU-1") == f"process {pid}"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert gpu_lock.claim_gpu("GPU-1") is None


def test_runs_that_were_lost_are_started_again_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(recover, "launch", lambda lost, resume: started.append(lost.name) or 42)
    states = {
        "lost": {"step": 5, "start_step": 5, "fruitless_starts": 1},
        "moved": {"step": 6, "start_step": 5, "fruitless_starts": 2},
        "hopeless": {"step": 5, "start_step": 5, "fruitless_starts": 2},
        "done": {"stop_reason": "finished"},
    }
    for name, state in states.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.toml").write_text("")
        (tmp_path / name / "state.json").write_text(json.dumps(state))
    outcomes = {one.run.name: one.error for one in recover.resume_lost(tmp_path)}
    assert sorted(started) == ["lost", "moved"]
    assert outcomes["lost"] is None
    assert "3 engines in a row" in str(outcomes["hopeless"])
    assert "done" not in outcomes


def test_fruitless_starts_are_counted(quiet_run: Run) -> None:
    for expected in (0, 1, 2):
        voice = Reporter(quiet_run)
        assert voice.state["fruitless_starts"] == expected
        voice.go_on_from(4, 0.0)
        voice.write_state()
    voice.step(0.1, step=5, total_steps=9, epoch=0.5, loss=1.0, lr=1e-3, tokens_per_second=1.0)
    voice.write_state()
    assert Reporter(quiet_run).state["fruitless_starts"] == 0
