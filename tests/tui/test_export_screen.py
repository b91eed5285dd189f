"""The export page over a stand-in for the export job."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

import tui.job_child
from tests.tui import fake_job, runs
from tests.tui.test_playground import until
from tests.tui.test_training import LARGE, SMALL, shown
from tui.screens.export import ExportScreen
from tui.screens.export_outcome import outcome
from tui.screens.export_questions import kinds, next_question, request_of


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
    monkeypatch.setattr(tui.job_child, "job_command", lambda name: [*command, name, script])
    async with Host(folder).run_test(size=size) as pilot:
        await pilot.pause()
        yield pilot


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_page_says_what_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with opened(tmp_path, monkeypatch, "plain", size) as pilot:
        text = shown(pilot.app)
    for words in ("Merged model", "Ollama", "GGUF", "Hub", "Training script", "press Enter"):
        assert words in text


async def test_a_merged_model_shows_its_folder_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "plain") as pilot:
        await pilot.press("enter")
        await until(pilot, lambda text: "number format" in text)
        await pilot.press("enter")
        text = await until(pilot, lambda text: "Done." in text)
    for words in ("/x/exports/merged", "7 M", "100.0%", "One note.", "To serve it", "vllm serve"):
        assert words in text
    assert "Ollama is not here" not in text


async def test_ollama_commands_are_printed_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "ollama") as pilot:
        await until(pilot, lambda text: "made before" in text)
        await pilot.press("down", "enter")
        await until(pilot, lambda text: "Fetch it?" in text)
        await pilot.press("enter")
        await until(pilot, lambda text: "number format" in text)
        await pilot.press("enter")
        text = await until(pilot, lambda text: "Done." in text)
        assert pilot.app.screen.check_action("create", ()) is False
    assert "ollama create 'demo 1' -f /x/Modelfile" in text
    assert "ollama run 'demo 1'" in text


async def test_a_failed_export_says_what_where_and_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch, "fails") as pilot:
        await pilot.press("enter", "enter")
        text = await until(pilot, lambda text: "The export failed." in text)
    for words in ("There is no room.", "/exports", "Free 2 GB."):
        assert words in text


async def test_gguf_asks_for_everything_and_before_it_fetches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "plain", SMALL) as pilot:
        await until(pilot, lambda text: "made before" in text)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda text: "adapter alone" in text)
        await pilot.press("enter")
        text = await until(pilot, lambda text: "q4_k_m" in text)
        assert "needs llama-quantize" in text
        await pilot.press("down", "enter")
        text = await until(pilot, lambda text: "Fetch it?" in text)
        assert "73 MiB" in text and "sha256" in text
        await pilot.press("enter")
        await until(pilot, lambda text: "Done." in text)
        screen = pilot.app.screen
        assert isinstance(screen, ExportScreen)
        request = request_of("/r", screen.answers)
    assert request == {"run": "/r", "to": "gguf", "type": "q8_0", "fetch_converter": True}


async def test_nothing_is_sent_to_the_hub_before_its_card_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch, "hub") as pilot:
        await until(pilot, lambda text: "made before" in text)
        await pilot.press("down", "down", "down", "enter", "enter")
        await until(pilot, lambda text: "Where to?" in text)
        await pilot.press(*"me/demo", "enter")
        await until(pilot, lambda text: "Who may see it?" in text)
        await pilot.press("enter")
        text = await until(pilot, lambda text: "Done." in text)
        for words in ("# A card", "rows of your data", "u sends it to me/demo"):
            assert words in text
        assert "https://" not in text
        await pilot.press("u")
        await until(pilot, lambda text: "https://hub/me/demo/commit/1" in text)
        assert pilot.app.screen.check_action("publish", ()) is False


async def test_esc_goes_back_question_by_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "plain", SMALL) as pilot:
        await until(pilot, lambda text: "made before" in text)
        await pilot.press("down", "down", "enter", "enter", "escape")
        await until(pilot, lambda text: "adapter alone" in text)
        await pilot.press("escape")
        await until(pilot, lambda text: "What do you want to make?" in text)
        await pilot.press("escape")
    assert pilot.app._exit


@pytest.mark.parametrize(
    ("answers", "known", "asked"),
    [({}, {}, ["to"]),
     ({"to": "merged"}, {"method": "qlora"}, ["into", "dtype"]),
     ({"to": "ollama"}, {"method": "lora"}, ["type"]),
     ({"to": "ollama"}, {"method": "qlora", "converter": ""}, ["fetch_converter", "type", "into"]),
     ({"to": "ollama"}, {"converter": "", "ollama_reads_directory": True}, ["road", "fetch_converter", "type"]),
     ({"to": "ollama", "road": "directory"}, {"converter": "", "ollama_reads_directory": True}, []),
     ({"to": "ollama"}, {"gguf_problems": ["no"], "ollama_reads_directory": True}, []),
     ({"to": "gguf"}, {"method": "qlora"}, ["type", "into"]),
     ({"to": "gguf", "adapter_only": "yes"}, {"adapter": True}, ["type", "ollama_base"]),
     ({"to": "gguf"}, {"adapter": False, "converter": "/c"}, ["type"]),
     ({"to": "hub", "repo": ""}, {"adapter": True}, ["what"]),
     ({"to": "script"}, {}, [])],
)  # fmt: skip
def test_only_what_is_open_is_asked(answers: dict[str, str], known: dict[str, object], asked: list[str]) -> None:
    answers = dict(answers)
    found = []
    while (ask := next_question(answers, known)) is not None and ask.key != "to":
        found.append(ask.key)
        answers[ask.key] = ask.options[0].value if ask.options else ""
    assert (found or ([] if answers else ["to"])) == asked


def test_a_model_that_cannot_be_gguf_says_why() -> None:
    gguf = next(option for option in kinds({"gguf_problems": ["No such tokenizer."]}) if option.value == "gguf")
    assert gguf.good is False and gguf.consequence == "No such tokenizer."


async def test_creating_in_ollama_goes_on_from_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "ollama here") as pilot:
        await until(pilot, lambda text: "made before" in text)
        await pilot.press("down", "enter", "enter", "enter")
        text = await until(pilot, lambda text: "Press c to create" in text)
        assert "greedy" not in text
        await pilot.press("c")
        text = await until(pilot, lambda text: "5 of 5 greedy answers are the same" in text)
        assert "Ollama has the model" in text and "/x/exports/merged" in text
        assert pilot.app.screen.check_action("create", ()) is False


def test_creating_is_offered_where_ollama_is() -> None:
    result = {"out": "/x", "commands": [["ollama", "create", "a"], ["ollama", "run", "a"]], "installed": True}
    assert "Press c" in "".join(text for text, _ in outcome(result))
