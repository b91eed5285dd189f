"""The adapters page over a stand-in for its job, and its words from adapters made up here."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

import tui.job_child
from engine.errors import UserError
from engine.places import runs_root
from engine.runs.store import Run
from tests.tui import fake_job, runs
from tests.tui.test_playground import until
from tests.tui.test_training import LARGE, SMALL, shown
from tests.tui.test_wizard import settle
from tui.app import TunewrightApp
from tui.screens.adapters import combined_folder
from tui.screens.adapters_text import command_text, entry, read_name, read_weight, refusal, serve_text
from tui.widgets.field import PlainInput

ONE = fake_job.adapter("one", "/base")
FULL = {**ONE, "run": "odd", "uncombinable": "It is a DoRA adapter."}


@asynccontextmanager
async def opened(
    monkeypatch: pytest.MonkeyPatch, script: str = "plain", size: tuple[int, int] = LARGE
) -> AsyncIterator[Pilot[Any]]:
    """The home page with two runs, then `a`."""
    command = [sys.executable, fake_job.__file__]
    monkeypatch.setattr(tui.job_child, "job_command", lambda name: [*command, name, script])
    for name in ("one", "two", "three"):
        runs.finished(runs_root(), 20, name)
    app = TunewrightApp()
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await until(pilot, lambda text: "three" in text)
        await pilot.press("a")
        yield pilot


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_every_adapter_is_listed_and_enter_says_how_to_serve_it(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with opened(monkeypatch, size=size) as pilot:
        text = await until(pilot, lambda text: "3 of 3 runs" in text)
        for words in ("base, LoRA, rank 16, 7 MiB, held-out loss 0.250", "Trained with DPO on rows.json, 9 steps",
                      "no held-out loss", "Space Mark", "m Combine", "t Chat", "Back"):  # fmt: skip
            assert words in text
        await pilot.press("enter")
        text = await until(pilot, lambda text: "Serving one" in text)
        for words in ("vllm serve '/models/my base' \\", "--enable-lora", "llama-server \\", "-m BASE.gguf"):
            assert words in text


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_marked_adapters_are_combined_with_weights_and_a_name(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with opened(monkeypatch, size=size) as pilot:
        await until(pilot, lambda text: "3 of 3 runs" in text)
        await pilot.press("m")
        await until(pilot, lambda text: "Mark at least two" in text)
        await pilot.press("space", "down", "space")
        await until(pilot, lambda text: "2 marked. m combines them." in text and text.count("marked") == 3)
        await pilot.press("m")
        text = await until(pilot, lambda text: "Weight of two" in text)
        assert "Weight of one" in text and str(combined_folder())[:20] in text
        pilot.app.screen.query_one("#weight-1", PlainInput).value = "much"
        await pilot.press("enter")
        await until(pilot, lambda text: "'much' is no weight" in text)
        pilot.app.screen.query_one("#weight-1", PlainInput).value = "0.5"
        await pilot.press("enter")
        text = await until(pilot, lambda text: "The combined adapter" in text)
        assert "1 times one, 0.5 times two." in text and "Rank 24" in text
        await pilot.press("escape")
        assert "marked" not in shown(pilot.app)


async def test_another_base_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch, size=SMALL) as pilot:
        await until(pilot, lambda text: "3 of 3 runs" in text)
        await pilot.press("space", "down", "down", "space")
        text = await until(pilot, lambda text: "another base or method" in text)
        assert text.count("marked") == 1


async def test_an_error_of_the_job_is_shown_and_the_page_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch, "fails", SMALL) as pilot:
        await until(pilot, lambda text: "The disk is full. Free 2 GB." in text)
        await pilot.press("space", "m", "t", "escape")
        await until(pilot, lambda text: "New fine-tune" in text)


async def test_chat_opens_the_playground_of_the_highlighted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Run] = []
    monkeypatch.setattr(TunewrightApp, "open_playground", lambda app, run: asked.append(run))
    async with opened(monkeypatch) as pilot:
        await until(pilot, lambda text: "3 of 3 runs" in text)
        await pilot.press("down", "t")
    assert [run.path for run in asked] == [Path("/runs/two")]


async def test_without_runs_there_is_no_key_for_adapters() -> None:
    app = TunewrightApp()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert "Adapters" not in shown(app)
        await pilot.press("a")
        assert "Try the demo" in shown(app)


def test_why_an_adapter_stays_alone() -> None:
    assert "DoRA" in refusal(FULL, [])
    assert refusal(ONE, [ONE]) == ""
    assert "QLoRA" in refusal({**ONE, "run": "two", "method": "qlora"}, [ONE])


def test_a_command_breaks_before_its_options_and_stays_one_command() -> None:
    text = command_text(["vllm", "serve", "/my base", "--enable-lora", "--lora-modules", "a=/b c"])
    assert text == "vllm serve '/my base' \\\n    --enable-lora \\\n    --lora-modules 'a=/b c'"
    assert "takes no adapter of this rank" in serve_text({**ONE, "commands": []})


def test_entries_hold_no_break_of_a_hostile_name() -> None:
    option = entry({**ONE, "base": "/m/a\nb\x1b[2J", "data": "x\ny"}, marked=True)
    assert option.mark == "marked" and option.consequence.count("\n") == 1 and "\x1b" not in option.consequence


@pytest.mark.parametrize("text", ["", "much", "nan", "101", "1;2"])
def test_wrong_weights_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="no weight"):
        read_weight(text, "weight-0")


def test_weights_and_names(tmp_path: Path) -> None:
    assert (read_weight(" 0,5 ", ""), read_weight("-1", "")) == (0.5, -1.0)
    assert read_name(" both ", tmp_path, "") == tmp_path / "both"
    (tmp_path / "both").mkdir()
    for name, words in (("both", "already"), ("../x", "no name"), ("", "no name")):
        with pytest.raises(UserError, match=words):
            read_name(name, tmp_path, "")
