"""The screens and a run that was handed in to SLURM: it is handed in again, and taken out of the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.places import runs_root
from engine.runs import slurm
from engine.runs.control import pending, request
from engine.runs.slurm_script import FILE
from engine.runs.store import Run, create_run
from tests.pty import fake_engine
from tests.tui import fake_slurm, runs
from tests.tui.test_training import opened, settled, shown
from tests.tui.test_wizard import press, settle, text_of
from tui.app import TunewrightApp
from tui.plain_console import Console
from tui.plain_home import WentOn, choose_answers

NEVER_HERE = "an engine was started on this machine"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SLURM with an empty queue, and no engine that may be started here."""

    def launch(*arguments: Any, **settings: Any) -> int:
        raise AssertionError(NEVER_HERE)

    monkeypatch.setattr("engine.runs.process.launch", launch)
    return fake_slurm.install(tmp_path / "bin", monkeypatch, queue="")


def hand_in(run: Run) -> Run:
    """Make it a run whose job 12 has left the queue."""
    slurm.record_path(run).write_text('{"job": "12"}')
    run.state_path.write_text('{"v": 1, "step": 43, "stop_reason": "stopped"}')
    return run


async def test_the_home_page_hands_it_in_again(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = hand_in(create_run(fake_engine.recipe(), runs_root(), "far"))
    seen: list[Run] = []
    monkeypatch.setattr(TunewrightApp, "open_training", lambda app, run: seen.append(run))
    request(run, "stop")
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "end", "r")
        assert seen == [run]
    assert fake_slurm.submitted(commands) == [f"--parsable {run.path / FILE}"]
    assert pending(run) == []
    again = TunewrightApp()
    async with again.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "waits in the queue" in text_of(again)
        assert "Queued as SLURM job 12" in text_of(again)
        await press(pilot, "end", "r")  # no second job
    assert len(fake_slurm.submitted(commands)) == 1


def test_the_plain_home_hands_a_lost_one_in_again(commands: Path) -> None:
    run = hand_in(create_run(fake_engine.recipe(), runs_root(), "far"))
    run.state_path.write_text('{"v": 1, "step": 43, "boot_id": "%s"}' % ("b" * 36))
    with pytest.raises(WentOn):
        choose_answers(Console(lambda prompt: "1"))
    assert fake_slurm.submitted(commands) == [f"--parsable {run.path / FILE}"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_training_screen_hands_it_in_and_takes_it_out(
    tmp_path: Path, commands: Path, size: tuple[int, int]
) -> None:
    run, log = runs.running(tmp_path, 43, 90)
    log.write("end", reason="stopped", step=43, seconds=9.0, detail="")
    hand_in(run)
    async with opened(run, size) as pilot:
        assert "Stopped and saved" in shown(pilot.app)
        await pilot.press("r")
        await settled(pilot)
        assert "handed in again as SLURM job 12" in shown(pilot.app)
        await look_again(pilot.app.screen)
        await settled(pilot)
        assert "Queued as SLURM job 12" in shown(pilot.app)
        await pilot.press("s")
        assert "Take SLURM job 12 out of the queue?" in shown(pilot.app)
        await pilot.press("y")
        await settled(pilot)
        assert "taken out of the queue" in shown(pilot.app)
        await look_again(pilot.app.screen)
        await settled(pilot)
        assert "Stopped and saved" in shown(pilot.app)
    assert len(fake_slurm.submitted(commands)) == 1
    assert pending(run) == []


async def look_again(screen: Any) -> None:
    """Read the machine now instead of a second later."""
    screen.tick()
    await screen._take_reading()
