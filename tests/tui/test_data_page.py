"""The Data page by keys: first rows early, all findings and the mask view one key away, an encoding asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from engine.errors import UserError
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.app import TunewrightApp
from tui.screens import lookups
from tui.screens.explain import ExplainScreen
from tui.screens.mask_view import MaskScreen
from tui.screens.pages.data import DataPage
from tui.steps.facts import Facts

SIZES = [(80, 24), (120, 40)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers())


def app_on_data() -> TunewrightApp:
    answers = fakes.answers()
    answers.at = "data"
    return TunewrightApp("wizard", answers=answers)


async def settle(pilot: Pilot[str]) -> None:
    for _ in range(6):
        await asyncio.sleep(0.03)
        await pilot.pause()


def text_of(app: TunewrightApp) -> str:
    return "\n".join(str(widget.render()) for widget in app.screen.query(Static) if widget.display)


@pytest.mark.parametrize("size", SIZES)
async def test_details_show_every_finding_and_the_lengths(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    found = fakes.data()
    found["findings"] = [{"severity": "warn", "what": f"Finding {n}.", "where": "", "fix": ""} for n in range(7)]
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(data=found))
    app = app_on_data()
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert "3 more: key d." in text_of(app) and "Finding 6." not in text_of(app)
        assert "0 to 63" in text_of(app) and "Sequence length: 128" in text_of(app)
        await pilot.press("d")
        await settle(pilot)
        assert isinstance(app.screen, ExplainScreen)
        assert "Finding 6." in text_of(app) and "A length of 128 would cut 5 rows" in text_of(app)


async def test_the_mask_view_opens_by_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(screen: MaskScreen) -> None:
        screen._take({"row": {"number": 4, "where": "a:4", "problems": [], "turns": []}})

    monkeypatch.setattr(MaskScreen, "_serve", serve)
    app = app_on_data()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("m")
        await settle(pilot)
        assert isinstance(app.screen, MaskScreen) and app.screen.request["sequence_length"] == 128
        await pilot.press("escape")
        await settle(pilot)
        await pilot.press("m")
        await settle(pilot)
        assert isinstance(app.screen, MaskScreen) and app.screen.request["row"] == 4, "it comes back to the same row"


async def test_the_first_rows_are_shown_while_the_rest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = asyncio.Event()

    async def slowly(answers: Answers, facts: Facts) -> Any:
        facts.data.early = {**fakes.data(50), "previews": [{"row": 1, "turns": [{"role": "user", "content": "early"}]}]}
        facts.tell()
        await go_on.wait()
        return fakes.data(9000)

    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers())
    monkeypatch.setattr(lookups.LOOKERS, "data", slowly)
    app = app_on_data()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "The first 50 rows are here" in text_of(app) and "early" in text_of(app)
        go_on.set()
        await settle(pilot)
        assert "9,000 rows, read as" in text_of(app) and "two pizzas please" in text_of(app)


async def test_an_encoding_is_asked_for_and_one_key_takes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fix = 'If "caf\u00e9" is right, set data.encoding to cp1252; else save the file as UTF-8.'
    problem = UserError("Line 1 is not UTF-8.", "rows.csv:1", fix)
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(data=problem))
    app = app_on_data()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert app.answers is not None and not app.answers.text("data.encoding")
        await pilot.press("enter")
        await settle(pilot)
        assert app.answers.text("data.encoding") == "cp1252"


@pytest.mark.parametrize("size", SIZES)
async def test_rows_that_no_format_fits_lead_to_the_formats_at_once(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    what = "No known format has these columns: When, Reply."
    found = {**fakes.data(), "format": "", "columns": ["When", "Reply"], "previews": [],
             "findings": [{"severity": "block", "what": what, "where": "", "fix": "Choose a format."}]}  # fmt: skip
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(data=found))
    app = app_on_data()
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        shown = text_of(app)
        assert shown.count(what) == 1 and "Sequence length" not in shown
        await pilot.press("enter")
        await settle(pilot)
        page = app.screen.query_one(DataPage)
        assert page.choices.option_count > 8 and "Mend this first" not in text_of(app)
