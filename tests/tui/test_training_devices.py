"""The training screen of a run on several devices: what each of them holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs.history import History
from tests.tui import runs
from tests.tui.test_training import alive, opened, screen_of, shown
from tui.watch.words import devices

__all__ = ["alive"]
GIB = 1024**3


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_each_device_is_shown_and_follows_the_newest_step(tmp_path: Path, size: tuple[int, int]) -> None:
    run, log = runs.running(tmp_path, 20, 400)
    async with opened(run, size) as pilot:
        assert "device 1" not in shown(pilot.app)
        assert any(word in shown(pilot.app) for word in ("training 668 MiB", "run 668 MiB"))
        runs.step(log, 21, 400, 1.0, mem=5 * GIB, device_mem=[5 * GIB, 5.5 * GIB, 4 * GIB])
        log.write("checkpoint", step=21, bytes=7_000_000, seconds=0.3)
        screen_of(pilot).tick()
        await pilot.pause()
        text = shown(pilot.app)
        assert "device 0 5.0 GiB  device 1 5.5 GiB  device 2 4.0 GiB" in text
        assert "run 5.0 GiB" not in text and "training 5.0 GiB" not in text
        assert all(words in text for words in ("RAM", "tokens/s", "Stop and save"))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_many_devices_are_told_by_their_range(tmp_path: Path, size: tuple[int, int]) -> None:
    run, log = runs.running(tmp_path, 20, 400)
    runs.step(log, 21, 400, 1.0, device_mem=[(40 + index % 7) * GIB for index in range(16)])
    async with opened(run, size) as pilot:
        assert "16 devices  40.0 GiB to 46.0 GiB  most on device 6" in shown(pilot.app)


@pytest.mark.parametrize("told", ["many", 5, [], [GIB], {"0": GIB}])
def test_what_is_no_list_of_several_makes_no_row(told: object) -> None:
    history = History()
    history.add({"type": "step", "step": 1, "device_mem": told})
    assert devices(history, 80) == []


def test_a_device_that_says_nothing_is_unknown() -> None:
    history = History()
    history.add({"type": "step", "step": 1, "device_mem": [GIB, None, "NaN"]})
    assert "".join(text for text, _ in devices(history, 80)).count("unknown") == 2
    many = History()
    many.add({"type": "step", "step": 1, "device_mem": [None] * 30})
    assert "".join(text for text, _ in devices(many, 80)) == " Training memory  30 devices "
