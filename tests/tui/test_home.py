"""The home page: greeting, runs with their state, and what can be done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen

from engine.places import runs_root
from engine.plan.record import write_plan
from engine.recipe import Answer, Recipe
from engine.runs.liveness import Liveness
from engine.runs.store import Run, create_run
from tests.tui import wizard_fakes as fakes
from tests.tui.test_wizard import press, settle, text_of
from tui.answers import Answers
from tui.app import TunewrightApp
from tui.places import answers_path
from tui.screens import home, lookups, run_list
from tui.screens.compare import CompareScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.home import HomeScreen
from tui.screens.wizard import WizardScreen

Opened = list[tuple[str, Run]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """What the app was asked to open."""
    seen: Opened = []
    for name in ("open_training", "open_playground", "open_export"):
        monkeypatch.setattr(TunewrightApp, name, lambda app, run, name=name: seen.append((name, run)))
    return seen


def make_run(name: str, state: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    recipe = Recipe.from_answers({"model.source": Answer("o/m", "you", ""), "data.source": Answer("o/d", "you", "")})
    run = create_run(recipe, runs_root(), name)
    known: dict[str, str] = getattr(make_run, "states", {})
    known[name] = state
    make_run.states = known  # type: ignore[attr-defined]
    monkeypatch.setattr(run_list, "liveness", lambda run: Liveness(known[run.name], 0, ""))
    return run


async def test_the_first_start_greets_and_enter_opens_the_demo() -> None:
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "Welcome" in text_of(app)
        assert "Try the demo" in text_of(app)
        await press(pilot, "enter")
        assert isinstance(app.screen, WizardScreen)
        assert app.screen.answers.text("goal") == "structured"
        assert app.screen.answers.text("data.source").endswith("orders.jsonl")
        assert app.screen.answers.path is None


async def test_the_demo_never_replaces_unfinished_answers() -> None:
    mine = Answers(answers_path())
    mine.put("goal", "chat")
    mine.save()
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "down", "down", "enter")
        await press(pilot, "enter", "ctrl+q")
    assert Answers.load(answers_path()).text("goal") == "chat"


async def test_unfinished_answers_are_offered_first_and_continued_where_they_were() -> None:
    mine = Answers(answers_path())
    mine.put("goal", "chat")
    mine.at = "model"
    mine.save()
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "Continue where you left off" in text_of(app)
        await press(pilot, "enter")
        assert isinstance(app.screen, WizardScreen)
        assert app.screen.answers.at == "model"


async def test_beginning_anew_asks_before_unfinished_answers_go() -> None:
    mine = Answers(answers_path())
    mine.put("goal", "chat")
    mine.save()
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "n")
        assert isinstance(app.screen, ConfirmScreen)
        await press(pilot, "enter")
        assert isinstance(app.screen, HomeScreen)
        await press(pilot, "n", "down", "enter")
        assert isinstance(app.screen, WizardScreen)
        assert not app.screen.answers.text("goal")


async def test_broken_answers_are_said_and_the_page_still_opens() -> None:
    answers_path().parent.mkdir(parents=True)
    answers_path().write_text("{", encoding="utf-8")
    app = TunewrightApp()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        assert isinstance(app.screen, HomeScreen)
        assert answers_path().with_name("answers.json.broken").exists()


@pytest.mark.parametrize(
    ("state", "words", "key", "expected"),
    [("running", "training", "enter", "open_training"), ("finished", "finished", "t", "open_playground"),
     ("finished", "finished", "x", "open_export")],
)  # fmt: skip
async def test_a_run_shows_its_state_and_opens(state: str, words: str, key: str, expected: str, opened: Opened,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    run = make_run("first", state, monkeypatch)
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "first" in text_of(app) and words in text_of(app)
        await press(pilot, "end", key)
        assert opened == [(expected, run)]


async def test_a_running_run_offers_no_chat(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("first", "running", monkeypatch)
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "end", "t", "x", "d", "r")
        assert opened == []
        assert isinstance(app.screen, HomeScreen)


async def test_a_stopped_run_is_resumed(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("first", "stopped", monkeypatch)
    run.state_path.write_text('{"v": 1, "stop_reason": "stopped"}')
    launched: list[Any] = []
    monkeypatch.setattr("engine.runs.process.launch", lambda run, resume, nodes: launched.append((run, resume)))
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "end", "r")
        assert launched == [(run, True)]
        assert opened == [("open_training", run)]


async def test_a_run_is_deleted_only_after_its_name_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("first", "finished", monkeypatch)
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "end", "d", "enter")
        assert isinstance(app.screen, ConfirmScreen)
        assert "nothing was deleted" in text_of(app)
        await press(pilot, *"firs", "enter", "escape")
        assert run.path.exists()
        await press(pilot, "d", *"first", "enter")
        await settle(pilot)
        assert not run.path.exists()
        assert "finished" not in text_of(app)


async def test_a_clone_begins_with_the_answers_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("first", "finished", monkeypatch)
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "end", "l")
        assert isinstance(app.screen, WizardScreen)
        answer = app.screen.answers.values["model.source"]
        assert (answer.value, answer.source, answer.reason) == ("o/m", "previous", "as in first")
        assert "run.name" not in app.screen.answers.values


async def test_a_run_with_a_broken_recipe_is_shown_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("first", "failed", monkeypatch)
    run.recipe_path.write_text("[", encoding="utf-8")
    app = TunewrightApp()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await press(pilot, "end", "l")
        assert isinstance(app.screen, HomeScreen)


async def test_leaving_the_wizard_comes_back_home(tmp_path: Path) -> None:
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "escape")
        assert isinstance(app.screen, HomeScreen)


def test_the_line_of_a_run_says_step_loss_and_time_left() -> None:
    state: dict[str, object] = {"step": 5, "total_steps": 90, "loss": 1.2345, "eta_seconds": 120.0, "eval_loss": "NaN"}
    assert run_list._detail(state) == "step 5 of 90, loss 1.234, about 2 min left"
    assert run_list._detail({}) == "no step yet"


@pytest.mark.parametrize("size", [(10, 5), (40, 10), (200, 60)])
async def test_no_size_breaks_it(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("first", "finished", monkeypatch)
    app = TunewrightApp()
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, "end", "question_mark", "escape", "d", "escape")
        found: Screen[Any] = app.screen
        assert isinstance(found, HomeScreen)


async def test_a_clone_keeps_the_goal_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("kept", "finished", monkeypatch)
    write_plan(run.path, fakes.method_plan("lora", 4), "classification")
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "end", "l")
        assert isinstance(app.screen, WizardScreen)
        assert app.screen.answers.text("goal") == "classification"
        assert app.screen.answers.values["goal"].source == "previous"


async def test_runs_are_compared_from_the_home_page_when_there_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("one", "finished", monkeypatch).events_path.write_text("")
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "end", "c")
        assert isinstance(app.screen, HomeScreen)
    make_run("two", "finished", monkeypatch).events_path.write_text("")
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "end", "c")
        assert isinstance(app.screen, CompareScreen)
        assert len(app.screen.compared) == 2


async def test_with_runs_the_first_line_is_highlighted_and_not_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("first", "finished", monkeypatch)
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.pause(0.2)
        assert isinstance(app.screen, HomeScreen)
        assert app.screen.choices.value == home.NEW


async def test_in_ascii_every_sign_is_ascii_the_scroll_bar_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWRIGHT_GLYPHS", "ascii")
    for number in range(23):
        make_run(f"run-{number}", "finished", monkeypatch)
    app = TunewrightApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for _ in range(5):
            await press(pilot, "down")
            assert "run-" in text_of(app) and app.screen.query_one("#choices").show_vertical_scrollbar
            assert text_of(app).isascii(), [letter for letter in text_of(app) if not letter.isascii()]
