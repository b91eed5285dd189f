"""The quick tier: a few cases of every kind of disaster. `python -m tests.chaos` does hundreds."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engine.runs.liveness import liveness
from engine.runs.signals import signal_engine
from engine.runs.store import Run
from engine.train import checkpoint
from tests.chaos import clock, damage, detached, kills, shim
from tests.chaos.rig import Workshop, carry_in_child
from tests.engine.train import material
from tests.engine.train.carried import Carried

pytestmark = pytest.mark.xdist_group("chaos")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    import engine.train.phases  # noqa: F401  (imported once here, so that forked children have it)

    return Workshop.build(tmp_path_factory.mktemp("chaos"))


@pytest.mark.parametrize(("method", "aimed"), [("lora", True), ("full", True), ("lora", False)])
def test_kill_9_never_costs_a_run(workshop: Workshop, method: str, aimed: bool) -> None:
    tally = kills.kill_ours(workshop, method, kills=3, aimed=aimed, seed=7)
    assert (tally.dead, tally.other) == (0, 0), tally.line()
    assert tally.same + tally.late == 3


@pytest.mark.skipif(not shim.can_compile(), reason="no C compiler to build the fault shim with")
def test_a_save_survives_everything(tmp_path: Path) -> None:
    """Killed at operations, out of room at bytes, one error, a power cut; the replay would notice a missing sync."""
    report = shim.bench_saves(tmp_path, stride=10, methods=["lora"])["lora"]
    assert set(report["kill"]["outcomes"]) == {"ok"}
    assert report["kill"]["operations"] >= 60
    assert set(report["no room"]) <= {"ok", "not reached"}
    assert report["no room"]["ok"] >= 10
    assert set(report["one error"]) <= {"ok", "not reached"}
    assert report["one error"]["ok"] >= 4
    assert set(report["power"]) == {"ok"}
    assert report["power, no fsync"].get("found 4 instead of 6", 0) > 0


def test_no_damage_trains_another_model(workshop: Workshop, tmp_path: Path) -> None:
    run = workshop.run("damaged", checkpoints__keep=9)
    assert carry_in_child(run).wait() == 0
    outcomes = damage.matrix(run.checkpoints_dir, 9, 12, tmp_path / "copy")
    assert set(outcomes) <= {"falls back and names it", "same bytes"}, outcomes
    assert outcomes["falls back and names it"] >= 40


@pytest.mark.parametrize("name", clock.JUMPS)
def test_a_clock_that_jumps_changes_nothing(workshop: Workshop, name: str) -> None:
    assert clock.verdict(*clock.jump(workshop, name)) == "ok"


def test_the_life_of_a_detached_engine(tmp_path: Path, demo_model: Path) -> None:
    """Terminal closed, hang-up, suspended and woken, a second engine, SIGTERM, resumed, two SIGTERMs, nothing left."""
    run = material.make_run(tmp_path / "runs", "detached", demo_model, material.write_rows(tmp_path / "rows.jsonl"),
                            training__max_steps=400, training__epochs=500.0, evaluation__held_out_rows=0,
                            checkpoints__every_steps=400)  # fmt: skip
    pid = detached.launch_from_a_terminal(run)
    try:
        assert os.getsid(pid) == pid
        assert detached.wait_for(lambda: detached.reached(run, 2)), run.log_path.read_text()[-2000:]
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGCONT)
        code, log = detached.second_engine(run)
        assert code == 2
        assert f"Another engine works on this run (process {pid})" in log
        now = Carried(run).of("step")[-1]["step"]
        assert detached.wait_for(lambda: detached.reached(run, now + 1))
        assert signal_engine(run, signal.SIGTERM)
        assert detached.wait_for(lambda: not liveness(run).alive, 30)
        assert liveness(run).state == "stopped"
        stopped_at = Carried(run).of("end")[-1]["step"]
        assert checkpoint.steps_on_disk(run.checkpoints_dir) == [stopped_at]
        assert detached.wait_for(lambda: detached.group_is_empty(pid), 5)
    finally:
        detached.end(pid)
    pid = detached.launch_from_a_terminal(run, resume=True)
    try:
        assert detached.wait_for(lambda: detached.reached(run, stopped_at + 1))
        signal_engine(run, signal.SIGTERM)
        signal_engine(run, signal.SIGTERM)
        assert detached.wait_for(lambda: not liveness(run).alive, 30)
        assert liveness(run).state == "stopped"
        for path in [run.path, *run.path.rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0, path
        assert detached.wait_for(lambda: detached.group_is_empty(pid), 5)
    finally:
        detached.end(pid)


def test_a_pid_of_a_stranger_is_never_signalled(workshop: Workshop) -> None:
    """A snapshot that names a living process, without the lock: nobody works there, and nobody is hit."""
    import json

    run = workshop.run("stranger")
    state = {"v": 1, "pid": os.getpid(), "step": 5, "phase": "training", "create_time": 1.0, "host": "elsewhere"}
    run.state_path.write_text(json.dumps(state))
    assert liveness(run).state == "elsewhere"
    assert not signal_engine(run, signal.SIGKILL)


def test_an_early_stop_ends_before_training(workshop: Workshop) -> None:
    """A stop while the data is read or the model loaded is answered at once; there is nothing to save."""
    from engine.runs.control import request

    run = workshop.run("early")
    request(run, "stop")
    assert carry_in_child(run).wait() == 3
    said = Carried(run)
    assert said.of("control")[0]["accepted"] is True
    assert said.of("end")[-1]["reason"] == "stopped"
    assert said.of("step") == []
    assert _names(run) == []


def test_a_killed_engine_is_spoken_of(workshop: Workshop) -> None:
    """The next engine says that the one before was killed, and by what when the kernel counted it."""
    import json

    run = workshop.run("killed")
    state = {"v": 1, "step": 3, "stop_reason": None, "memory_kills": -1}
    run.state_path.write_text(json.dumps(state))
    assert carry_in_child(run, resume=True).wait() == 0
    kinds = [event.get("kind") for event in Carried(run).of("warning")]
    assert "memory" in kinds


def _names(run: Run) -> list[str]:
    return [path.name for path in run.checkpoints_dir.iterdir()]
