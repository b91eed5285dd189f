"""Random keys, resizes and events on the page of a run: no order of them ends in an exception."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.runs.events import EventLog
from tests.tui import runs
from tests.tui.payloads import MARKUP, PAYLOADS
from tests.tui.test_training import alive, opened, settled, shown
from tui.screens.training import TrainingScreen

__all__ = ["alive"]
KEYS = (
    "l", "a", "o", "y", "plus", "minus", "0", "left", "right", "g", "t", "w", "e", "b", "slash", "enter", "space",
    "n", "s", "escape", "question_mark", "end", "home", "pageup", "pagedown", "tab", "c", "x", "up", "down",
)  # fmt: skip
SIZES = ((80, 24), (120, 40), (10, 5), (40, 12), (200, 60), (99, 29), (1, 1))


def happen(numbers: random.Random, log: EventLog, step: int) -> int:
    """Something that an engine may say; the newest step."""
    what = numbers.random()
    if what < 0.7:
        runs.step(log, step + 1, 400, numbers.choice((0.5, 2.0, 0.0, float("nan"), 1e9)))
        return step + 1
    if what < 0.75:
        log.write("rewind", step=step // 2)
        return step // 2
    if what < 0.85:
        log.write("eval", step=step, loss=numbers.choice((1.0, float("nan"))), rows=3)
    elif what < 0.9:
        log.write("sample", step=step, prompt=numbers.choice(PAYLOADS), base=None, tuned=numbers.choice(MARKUP))
    else:
        log.write("warning", what=numbers.choice((*PAYLOADS, *MARKUP)), where=None, fix=3)
    return step


async def play(folder: Path, seed: int, moves: int) -> None:
    numbers = random.Random(seed)
    run, log = runs.running(folder, 40, 400)
    step = 40
    async with opened(run) as pilot:
        for _ in range(moves):
            step = happen(numbers, log, step)
            for screen in pilot.app.screen_stack:
                if isinstance(screen, TrainingScreen):
                    screen.tick()
            key = numbers.choice(KEYS)
            at_home = isinstance(pilot.app.screen, TrainingScreen) and not pilot.app.screen.has_class("-reading")
            if key != "escape" or not at_home:  # there it leaves the program, as it should
                await pilot.press(key)
            if numbers.random() < 0.1:
                await pilot.resize_terminal(*numbers.choice(SIZES))
        while not isinstance(pilot.app.screen, TrainingScreen):
            await pilot.press("escape")
        await pilot.resize_terminal(120, 40)
        await settled(pilot)
        assert "demo-1" in shown(pilot.app)


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_order_of_keys_and_events_breaks_the_page(tmp_path: Path, seed: int) -> None:
    await play(tmp_path, seed, 60)


@pytest.mark.long
async def test_ten_thousand_keys_break_nothing(tmp_path: Path) -> None:
    for seed in range(20):
        await play(tmp_path / str(seed), seed, 500)
