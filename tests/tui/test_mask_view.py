"""The mask view by keys, with its real job on real rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.engine.data.conftest import CHATML, byte_tokenizer
from tui.app import TunewrightApp
from tui.screens.mask_view import MaskScreen
from tui.widgets.field import Field
from tui.widgets.plain import Plain


@pytest.fixture(scope="module")
def request_of(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """400 rows: row 50 is cut, row 300 holds an escape sequence and is refused by no one."""
    folder = tmp_path_factory.mktemp("mask")
    rows = [{"prompt": f"question {n}", "completion": f"answer {n}"} for n in range(1, 401)]
    rows[49]["completion"] = "long " * 60
    rows[299]["completion"] = "red \x1b[31m [bold] \u202e"
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
    (folder / "chat_template.jinja").write_text(CHATML)
    return {"source": str(folder / "rows.jsonl"), "model": str(folder), "sequence_length": 128}


def shown(app: TunewrightApp) -> str:
    return "\n".join(app.screen.query_one(name, Plain).text for name in ("#head", "#problems", "#text"))


async def until(pilot: Pilot[str], app: TunewrightApp, holds: Callable[[str], bool]) -> str:
    for _ in range(200):
        await pilot.pause()
        if holds(shown(app)):
            return shown(app)
        await asyncio.sleep(0.05)
    raise AssertionError(shown(app))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_rows_by_key(request_of: dict[str, object], size: tuple[int, int]) -> None:
    app = TunewrightApp("home")
    ended: list[int | None] = []
    async with app.run_test(size=size) as pilot:
        app.push_screen(MaskScreen(request_of, 400), ended.append)
        text = await until(pilot, app, lambda text: "Row 1 of 400" in text)
        assert "[[answer 1<|im_end|>\u21b5" in text and "Special: <|im_start|> 2, <|im_end|> 2" in text
        await pilot.press("right", "right", "right")  # every quick key counts
        await until(pilot, app, lambda text: "Row 4 of 400" in text)
        await pilot.press("p")
        await until(pilot, app, lambda text: "Row 3 of 400" in text)
        await pilot.press("x")
        text = await until(pilot, app, lambda text: "Row 50 of 400" in text)
        assert "loses its end" in text and "{{" in text and "}}" in text
        await pilot.press("x")
        await until(pilot, app, lambda text: "No row behind row 50" in text)
        await pilot.press(*"g300", "enter")
        text = await until(pilot, app, lambda text: "Row 300 of 400" in text)
        assert "\x1b" not in text and "\u202e" not in text and "[bold]" in text
        await pilot.press(*"9999", "enter")
        await until(pilot, app, lambda text: "There is no row 9999: the data has 400 rows." in text)
        await pilot.press("g")
        await pilot.press("escape")
        assert isinstance(app.screen, MaskScreen) and not app.screen.query_one("#jump", Field).display
        await pilot.press("escape")
        await pilot.pause()
        assert ended == [300]


async def test_data_that_cannot_be_read_is_said_once(request_of: dict[str, object]) -> None:
    app = TunewrightApp("home")
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(MaskScreen({**request_of, "source": str(Path("/nowhere/rows.jsonl"))}))
        text = await until(pilot, app, lambda text: "no file" in text)
        await asyncio.sleep(0.5)
        await pilot.press("right", "x")
        await pilot.pause()
        assert "ended without an answer" not in shown(app), text
