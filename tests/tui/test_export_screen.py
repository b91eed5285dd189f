"""The export page over a stand-in for the export job."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

import tui.jobs
from tests.tui import fake_job, runs
from tests.tui.test_playground import until
from tests.tui.test_training import LARGE, SMALL, shown
from tui.screens.export import ExportScreen, outcome


class Host(App[None]):
    """Opens one export page."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_mount(self) -> None:
        self.push_screen(ExportScreen(runs.finished(self.folder)))


@asynccontextmanager
async def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, size: tuple[int, int] = LARGE
) -> AsyncIterator[Pilot[None]]:
    command = [sys.executable, fake_job.__file__]
    monkeypatch.setattr(tui.jobs, "job_command", lambda name: [*command, name, script])
    async with Host(folder).run_test(size=size) as pilot:
        await pilot.pause()
        yield pilot


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_page_says_what_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with opened(tmp_path, monkeypatch, "plain", size) as pilot:
        text = shown(pilot.app)
    for words in ("Merged model", "Ollama", "press Enter"):
        assert words in text


async def test_a_merged_model_shows_its_folder_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "plain") as pilot:
        await pilot.press("enter")
        text = await until(pilot, lambda text: "Done." in text)
    for words in ("/x/exports/merged", "7 M", "100.0%", "One note.", "To serve it", "vllm serve"):
        assert words in text
    assert "Ollama is not here" not in text


async def test_ollama_commands_are_printed_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "ollama") as pilot:
        await pilot.press("down", "enter")
        text = await until(pilot, lambda text: "Done." in text)
        assert pilot.app.screen.check_action("create", ()) is False
    assert "ollama create 'demo 1' -f /x/Modelfile" in text
    assert "ollama run 'demo 1'" in text


async def test_a_failed_export_says_what_where_and_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch, "fails") as pilot:
        await pilot.press("enter")
        text = await until(pilot, lambda text: "The export failed." in text)
    for words in ("There is no room.", "/exports", "Free 2 GB."):
        assert words in text


def test_creating_is_offered_where_ollama_is() -> None:
    result = {"out": "/x", "commands": [["ollama", "create", "a"], ["ollama", "run", "a"]], "installed": True}
    assert "Press c" in "".join(text for text, _ in outcome(result))
