"""Every page as text, held against a picture that somebody has looked at: a change of a page shows in the review.

After a change that is meant: `TUNEWRIGHT_SNAPSHOTS=write python -m pytest tests/tui/test_snapshots.py`, and read what
changed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from engine.runs.liveness import Liveness
from tests.tui import runs
from tests.tui import wizard_fakes as fakes
from tests.tui.test_wizard import settle
from tui.app import TunewrightApp
from tui.screens import lookups
from tui.steps import flow, review
from tui.watch.telemetry import Reading, Telemetry

FOLDER = Path(__file__).parent / "snapshots"
SIZES = [(80, 24), (120, 40)]
READING = Reading(Liveness("running", "Training.", 1), (), 4_000_000_000, 16_000_000_000, 55.0, 0, 50_000_000_000)


@pytest.fixture(autouse=True)
def _fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers())
    monkeypatch.setattr("engine.machine.packages.is_installed", lambda name: True)
    monkeypatch.setattr(Telemetry, "read", lambda self: READING)
    monkeypatch.setattr(review, "logout_words", lambda: "")


def text_of(app: App[str]) -> str:
    """The page as text; clocks are masked."""
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    return re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", "\n".join(lines).rstrip() + "\n")


async def compare(pilot: Pilot[str], name: str, size: tuple[int, int]) -> None:
    """The page, once it stands still, against its file. Writes the file when that was asked for."""
    await settle(pilot)
    shown: list[str] = []
    while len(shown) < 3 or len(set(shown[-3:])) > 1:
        assert len(shown) < 100, "the page never stands still"
        await pilot.pause(0.02)
        shown.append(text_of(pilot.app))
    text = shown[-1]
    path = FOLDER / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("TUNEWRIGHT_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", flow.ORDER)
async def test_a_page_of_the_wizard(name: str, size: tuple[int, int]) -> None:
    answers = fakes.answers()
    answers.at = name
    app = TunewrightApp(start="wizard", answers=answers)
    async with app.run_test(size=size) as pilot:
        await compare(pilot, f"wizard-{name}", size)


@pytest.mark.parametrize("size", SIZES)
async def test_the_home_page_of_the_first_start(size: tuple[int, int]) -> None:
    app = TunewrightApp()
    async with app.run_test(size=size) as pilot:
        await compare(pilot, "home-first", size)


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_that_trains(tmp_path: Path, size: tuple[int, int]) -> None:
    run, _ = runs.running(tmp_path)
    app = TunewrightApp("attach", run=run)
    async with app.run_test(size=size) as pilot:
        await compare(pilot, "training", size)
