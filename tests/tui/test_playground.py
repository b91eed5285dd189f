"""The playground over a stand-in for the chat job: asking, streaming, stopping, failing, leaving."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

import tui.job_child
from tests.tui import fake_job, runs
from tests.tui.test_training import LARGE, SMALL, shown
from tui.screens.playground import PlaygroundScreen
from tui.screens.playground_history import history_path, read_history, tally_words


class Host(App[None]):
    """Opens one playground, as the real app does."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_mount(self) -> None:
        self.push_screen(PlaygroundScreen(runs.finished(self.folder)))


@asynccontextmanager
async def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = "plain", size: tuple[int, int] = LARGE
) -> AsyncIterator[Pilot[None]]:
    command = [sys.executable, fake_job.__file__]
    monkeypatch.setattr(tui.job_child, "job_command", lambda name: [*command, name, script])
    async with Host(folder).run_test(size=size) as pilot:
        yield pilot


async def until(pilot: Pilot[None], met: Callable[[str], bool], looks: int = 400) -> str:
    """Wait for the job, look by look; the screen's text."""
    for _ in range(looks):
        await pilot.pause(0.02)
        if met(text := shown(pilot.app)):
            return text
    raise AssertionError(f"never came:\n{shown(pilot.app)}")


async def ask(pilot: Pilot[None], question: str) -> None:
    pilot.app.screen.query_one(Input).value = question
    await pilot.press("enter")


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_both_models_answer_the_same_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with opened(tmp_path, monkeypatch, size=size) as pilot:
        await until(pilot, lambda text: "Ready on cpu" in text)
        await ask(pilot, "Two pizzas, please")
        text = await until(pilot, lambda text: text.count("7 tokens in 0.5 s") == 2)
    assert text.count("> Two pizzas, please") == 2
    for words in ("Base model", "Tuned model", '{"items": []}'):
        assert words in text


async def test_a_question_typed_while_loading_is_asked_when_the_model_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, PlaygroundScreen)
        if not screen.ready:
            await ask(pilot, "early")
            assert "Still loading" in shown(pilot.app) or screen.ready
            await until(pilot, lambda text: "7 tokens" in text)


async def test_a_conversation_goes_on_and_a_new_one_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch) as pilot:
        await until(pilot, lambda text: "Ready" in text)
        await ask(pilot, "one")
        await until(pilot, lambda text: "1 turns" in text)
        await ask(pilot, "two")
        await until(pilot, lambda text: "3 turns" in text)
        await pilot.press("f4")
        await until(pilot, lambda text: "> one" not in text)
        await ask(pilot, "three")
        await until(pilot, lambda text: "1 turns" in text)


async def test_esc_stops_an_answer_and_then_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "slow") as pilot:
        await until(pilot, lambda text: "Ready" in text)
        await ask(pilot, "a long story")
        await until(pilot, lambda text: "I do not know what you mean" in text)
        await pilot.press("escape")
        await until(pilot, lambda text: "stopped" in text)
        await pilot.press("escape")
    assert pilot.app._exit


async def test_a_held_out_row_shows_what_was_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch) as pilot:
        await until(pilot, lambda text: "Ready" in text)
        await pilot.press("f3")
        text = await until(pilot, lambda text: "exactly as expected" in text)
    assert "expected  {" in text
    assert "not as expected" in text  # the base model


async def test_data_that_cannot_be_read_is_said_and_the_chat_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch, "refuses") as pilot:
        await until(pilot, lambda text: "Ready" in text)
        await pilot.press("f3")
        await until(pilot, lambda text: "The data file is gone. Put it back." in text)
        assert not pilot.app.screen.query_one(Input).disabled


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_votes_are_counted_kept_and_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with opened(tmp_path, monkeypatch, size=size) as pilot:
        await until(pilot, lambda text: "Ready" in text)
        assert pilot.app.screen.check_action("vote", ("left",)) is False
        await ask(pilot, "Which one?")
        await until(pilot, lambda text: "F7 or F8 says" in text)
        await pilot.press("f7", "f8")  # the second vote takes the place of the first
        await until(pilot, lambda text: "votes: tuned 1" in text)
    run = runs.Run(tmp_path / "done")
    (kept,) = read_history(run)
    assert (kept.question, kept.vote, kept.answers["tuned"]) == ("Which one?", "tuned", '{"items": []}')
    assert history_path(run).stat().st_mode & 0o777 == 0o600
    screen = PlaygroundScreen(run)
    assert tally_words(screen.earlier) == "votes: tuned 1"


async def test_what_was_asked_before_can_be_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, size=SMALL) as pilot:
        await until(pilot, lambda text: "Ready" in text)
        for question in ("first question", "second question"):
            await ask(pilot, question)
            await until(pilot, lambda text, question=question: text.count(f"> {question}") == 2 and "F7 or" in text)
        await pilot.press("f10")
        await until(pilot, lambda text: "Asked before" in text and "tuned: {" in text)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert pilot.app.screen.query_one(Input).value == "first question"
        await pilot.press("down", "up", "up", "up")
        assert pilot.app.screen.query_one(Input).value == "first question"


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_checkpoint_answers_in_the_column_that_it_was_chosen_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    (tmp_path / "done" / "checkpoints" / "step-00000100").mkdir(parents=True)
    async with opened(tmp_path, monkeypatch, size=size) as pilot:
        await until(pilot, lambda text: "Ready" in text)
        await pilot.press("f6")
        await until(pilot, lambda text: "Which answer" in text)
        await pilot.press("up", "enter")
        await until(pilot, lambda text: "A checkpoint of this run" in text)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda text: "The first answer now comes from step-00000100" in text)
        await ask(pilot, "Who is there?")
        await until(pilot, lambda text: "I am step-00000100" in text and "Tuned model" in text)
    (kept,) = read_history(runs.Run(tmp_path / "done"))
    assert set(kept.answers) == {"step-00000100", "tuned"}


async def test_settings_are_checked_and_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, size=SMALL) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, PlaygroundScreen)
        await until(pilot, lambda text: "Ready" in text)
        await pilot.press("f2")
        await until(pilot, lambda text: "Longest answer" in text)
        await pilot.press("end", "9", "9", "enter")
        await until(pilot, lambda text: "Give a number from 0 to 5." in text)
        await pilot.press("backspace", "backspace", "backspace", "0", ".", "5", "enter")
        await until(pilot, lambda text: "temperature 0.5, answers vary" in text)
    assert screen.settings == {"temperature": 0.5, "top_p": 1.0, "max_tokens": 512}


async def test_a_busy_gpu_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "busy") as pilot:
        await until(pilot, lambda text: "Ready on cpu" in text and "The GPU is busy." in text)


async def test_a_refused_question_leaves_the_chat_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "refuses") as pilot:
        await until(pilot, lambda text: "Ready" in text)
        await ask(pilot, "too long")
        await until(pilot, lambda text: "Shorten it." in text)
        assert not pilot.app.screen.query_one(Input).disabled


@pytest.mark.parametrize(("script", "words"), [("fails", "The result has no adapter."), ("dies", "ended without")])
async def test_a_job_that_fails_says_so_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    async with opened(tmp_path, monkeypatch, script) as pilot:
        text = await until(pilot, lambda text: words in text)
        assert pilot.app.screen.query_one(Input).disabled
    assert "Traceback" not in text


async def test_leaving_ends_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch) as pilot:
        await until(pilot, lambda text: "Ready" in text)
        screen = pilot.app.screen
        assert isinstance(screen, PlaygroundScreen)
        process = screen.job._process
        assert process is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
