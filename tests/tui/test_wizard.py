"""The wizard by keys only, at 80x24 and 120x40, with everything looked up by fakes."""

from __future__ import annotations

import random
from collections.abc import Iterator
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
from tui.screens.pages import review as review_page
from tui.screens.pages.base import Page
from tui.screens.wizard import WizardScreen
from tui.steps import flow, review
from tui.widgets.choice import ChoiceList
from tui.widgets.field import Field, PlainInput

SIZES = [(80, 24), (120, 40)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers())
    monkeypatch.setattr(review_page, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("engine.machine.packages.is_installed", lambda name: True)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Answers]]:
    """Answers with which a run was started; nothing is really started."""
    seen: list[Answers] = []

    def start(answers: Answers, facts: Any, rehearse: bool = False) -> None:
        seen.append(answers)
        raise UserError("Stopped by the test.", "here", "Nothing.")

    monkeypatch.setattr(review, "start", start)
    yield seen


def wizard_of(app: TunewrightApp) -> WizardScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, WizardScreen))


def page_of(app: TunewrightApp) -> Page:
    page = wizard_of(app).page
    assert page is not None
    return page


def text_of(app: TunewrightApp) -> str:
    """Everything on the screen, line by line."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


async def settle(pilot: Pilot[str]) -> None:
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def press(pilot: Pilot[str], *keys: str) -> None:
    await pilot.press(*keys)
    await settle(pilot)


def app_with(answers: Answers | None = None) -> TunewrightApp:
    return TunewrightApp(start="wizard", answers=fakes.answers() if answers is None else answers)


@pytest.mark.parametrize("size", SIZES)
async def test_enter_alone_goes_from_the_first_page_to_the_start(size: tuple[int, int], started: list[Answers]) -> None:
    app = app_with()
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        seen = [wizard_of(app).answers.at]
        for _ in range(6):
            await pilot.press("enter")
            await pilot.pause()
            seen.append(wizard_of(app).answers.at)
        assert seen == list(flow.ORDER)
        await press(pilot, "enter")
        assert len(started) == 1
        assert "Stopped by the test." in text_of(app)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("machine", ("Example 4090", "Minimum", "Recommended", "50 GB", "Plan for this machine")),
        ("goal", ("What should the model learn to do?", "Give structured output", "JSON")),
        ("model", ("/models/small", "494 million", "Use this model", "SmolLM2-135M")),
        ("data", ("/data/orders.jsonl", "500 rows", "instruction", "two pizzas please", '{"pizza": 2}')),
        ("method", ("QLoRA", "LoRA", "Full fine-tuning", "recommended", "17.0 GiB too much")),
        ("settings", ("Use these values", "Epochs", "3", "fewer than 2,000 rows", "recommended")),
        ("review", ("Start the run", "Save the recipe only", "tunewright train", "--goal", "structured")),
    ],
)  # fmt: skip
async def test_every_page_shows_what_it_is_about(size: tuple[int, int], name: str, words: tuple[str, ...]) -> None:
    answers = fakes.answers()
    answers.at = name
    app = app_with(answers)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = text_of(app)
        for word in words:
            assert word in text


@pytest.mark.parametrize("size", SIZES)
async def test_the_steps_are_always_in_sight(size: tuple[int, int]) -> None:
    app = app_with()
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "enter")
        text = text_of(app)
        if size[0] >= 100:
            assert all(f"{number} {flow.TITLES[name]}" in text for number, name in enumerate(flow.ORDER, 1))
        else:
            assert "Step 3 of 7: Model" in text


async def test_the_pane_is_beside_the_page_or_one_key_away() -> None:
    for size, keys in (((120, 40), ()), ((80, 24), ("c",))):
        app = app_with()
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            assert ("8.0 GiB of 23.0 GiB free" in text_of(app)) is not keys
            await press(pilot, *keys)
            text = text_of(app)
            assert "8.0 GiB of 23.0 GiB free" in text
            assert "about 10 min" in text
            assert "weights" in text


async def test_back_walks_the_steps_and_stops_at_nothing() -> None:
    answers = fakes.answers()
    answers.at = "data"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for expected in ("model", "goal", "machine"):
            await press(pilot, "escape")
            assert answers.at == expected


async def test_back_works_from_an_invalid_page_and_keeps_what_was_typed() -> None:
    answers = Answers()
    answers.put("goal", "chat")
    answers.at = "model"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        page_of(app).query_one(Field).focus_text()
        await press(pilot, *"/nowhere", "enter")
        assert "does not exist" in text_of(app)
        assert answers.at == "model"
        await press(pilot, "escape")
        assert answers.at == "goal"
        await press(pilot, "3")
        assert page_of(app).query_one(Field).text == "/nowhere"
        assert not answers.text("model.source")


async def test_text_that_was_never_confirmed_survives_leaving(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.json")
    answers.put("goal", "chat")
    answers.at = "data"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        page_of(app).query_one(Field).focus_text()
        await press(pilot, *"/tmp/ro", "ctrl+q")
    again = Answers.load(tmp_path / "answers.json")
    assert again.drafts["data.source"] == "/tmp/ro"
    assert again.at == "data"
    app = app_with(again)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert page_of(app).query_one(Field).text == "/tmp/ro"


async def test_a_changed_model_marks_later_steps_and_confirming_clears_them(tmp_path: Path) -> None:
    answers = fakes.answers()
    app = app_with(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, *["enter"] * 6, "3")
        field = page_of(app).query_one(Field)
        field.focus_text()
        field.text = str(tmp_path)
        await press(pilot, "enter")
        assert set(answers.check) == {"data", "method", "settings"}
        assert "Model changed" in text_of(app)
        assert answers.text("data.source") == "/data/orders.jsonl"
        await press(pilot, "enter", "enter")
        assert "data" not in answers.check


async def test_a_line_of_the_review_is_changed_and_the_review_comes_back() -> None:
    answers = fakes.answers()
    answers.at = "review"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "down", "down", "down", "down", "enter")
        assert answers.at == "goal"
        await press(pilot, "down", "enter")
        assert answers.at == "review"
        assert answers.text("goal") == "classification"
        assert "Sort texts into classes" in text_of(app)


async def test_a_problem_of_the_model_is_shown_and_keeps_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = UserError("This folder holds no tokenizer.", "/models/small", "Copy tokenizer.json into it.")
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(model=problem))
    answers = fakes.answers()
    answers.at = "model"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "This folder holds no tokenizer." in text_of(app)
        assert "Copy tokenizer.json into it." in text_of(app)
        await press(pilot, "enter")
        assert answers.at == "model"
        await press(pilot, "4")
        assert answers.at == "data"
        await press(pilot, "7")
        assert "This folder holds no tokenizer." in text_of(app)


async def test_what_nobody_foresaw_is_a_sentence_and_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(plan=ZeroDivisionError("x")))
    app = app_with()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        found = wizard_of(app).lookups.facts.plan.problem
        assert found is not None and "ZeroDivisionError" in found.what
        assert "ZeroDivisionError" in Path(found.where).read_text(encoding="utf-8")


async def test_a_setting_is_edited_in_place_refused_and_reset() -> None:
    answers = fakes.answers()
    answers.at = "settings"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "down", "down", "enter")
        assert isinstance(app.focused, PlainInput)
        assert app.focused.value == "3"
        await press(pilot, "backspace", *"many", "enter")
        assert "epochs" in text_of(app)
        assert isinstance(app.focused, PlainInput)
        await press(pilot, *["backspace"] * 4, "5", "enter")
        assert answers.values["training.epochs"].value == 5.0
        assert "yours" in text_of(app)
        await press(pilot, "r")
        assert "training.epochs" not in answers.values


async def test_expert_values_are_shown_in_place() -> None:
    answers = fakes.answers()
    answers.at = "settings"
    app = app_with(answers)
    async with app.run_test(size=(120, 50)) as pilot:
        await settle(pilot)
        count = page_of(app).query_one(ChoiceList).option_count
        await press(pilot, "e")
        assert page_of(app).query_one(ChoiceList).option_count > count + 10
        await press(pilot, "e")
        assert page_of(app).query_one(ChoiceList).option_count == count


async def test_a_draft_that_is_no_value_keeps_the_settings_page() -> None:
    answers = fakes.answers()
    answers.at = "settings"
    answers.drafts["training.epochs"] = "many"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "home", "enter")
        assert answers.at == "settings"
        assert "many" in text_of(app)
        await press(pilot, "escape")
        assert answers.at == "method"


async def test_question_mark_explains_the_highlighted_setting() -> None:
    answers = fakes.answers()
    answers.at = "settings"
    app = app_with(answers)
    async with app.run_test(size=(80, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "down", "question_mark")
        assert isinstance(app.screen, ExplainScreen)
        text = text_of(app)
        assert "LoRA rank" in text and "--set method.rank" in text
        await press(pilot, "escape")
        assert not isinstance(app.screen, ExplainScreen)


async def test_a_question_mark_in_a_field_asks_for_help_and_is_not_typed() -> None:
    answers = fakes.answers()
    answers.at = "model"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        page_of(app).query_one(Field).focus_text()
        await press(pilot, "question_mark")
        assert isinstance(app.screen, ExplainScreen)
        await press(pilot, "escape")
        assert page_of(app).query_one(Field).text == "/models/small"


async def test_letters_and_digits_are_text_inside_a_field() -> None:
    answers = Answers()
    answers.put("goal", "chat")
    answers.at = "model"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        page_of(app).query_one(Field).focus_text()
        await press(pilot, *"c4f1")
        assert page_of(app).query_one(Field).text == "c4f1"
        assert answers.at == "model"


async def test_who_needs_fresh_facts_is_told_rag_and_may_go_on() -> None:
    answers = Answers()
    answers.at = "goal"
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "Prompt engineering" in text_of(app)
        await press(pilot, "down", "down", "down", "down", "enter")
        assert "RAG fits better" in text_of(app)
        await press(pilot, "escape")
        assert "What is missing" in text_of(app)
        await press(pilot, "enter", "enter")
        assert answers.at == "model"
        assert answers.text("need") == "facts"


async def test_one_key_mends_what_does_not_fit() -> None:
    answers = fakes.answers()
    answers.put("method.name", "full")
    answers.at = "method"
    app = app_with(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "Press f: Use LoRA" in text_of(app)
        await press(pilot, "f")
        assert answers.text("method.name") == "lora"


async def test_another_gpu_can_be_pretended_and_then_only_the_recipe_is_saved() -> None:
    answers = fakes.answers()
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "down", "enter")
        assert "Pretend a GPU with 8 GB" in text_of(app)
        await press(pilot, "end", "up", "enter")
        assert answers.text("pretend.vram_gb") == "80"
        assert answers.at == "goal"
        await press(pilot, "7")
        assert "pretended machine" in text_of(app)


async def test_saving_the_recipe_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answers = fakes.answers()
    answers.at = "review"
    app = app_with(answers)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settle(pilot)
        await press(pilot, "down", "down", "enter")
        assert (tmp_path / "recipe.toml").exists()
        assert answers.at == "review"


async def test_hostile_text_reaches_the_screen_only_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "[/INST] [bold]x \x1b]52;c;aGk=\x07 \x9b2J [@click=app.bell]y[/]"
    found = fakes.data()
    found["previews"] = [{"row": 1, "pieces": [{"text": hostile, "kind": "trained"}]}]
    found["reason"] = hostile
    found["findings"] = [{"severity": "warn", "what": hostile, "where": hostile, "fix": hostile}]
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(data=found))
    answers = fakes.answers()
    answers.at = "data"
    app = app_with(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        text = text_of(app)
        assert "[/INST] [bold]x" in text
        assert "\x1b" not in text and "\x9b" not in text


@pytest.mark.parametrize("size", [(10, 5), (1, 1), (20, 3), (40, 12), (200, 60)])
async def test_no_size_breaks_a_page(size: tuple[int, int]) -> None:
    answers = fakes.answers()
    app = app_with(answers)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for number in range(1, 8):
            await pilot.press(str(number))
            assert answers.at == flow.ORDER[number - 1]
            await pilot.press("pagedown", "pageup", "end", "home")
        await press(pilot, "c", "question_mark", "escape")


@pytest.mark.parametrize("seed", range(3))
async def test_random_keys_break_nothing(seed: int, started: list[Answers], tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    await play_at_random(seed, 80, tmp_path)


@pytest.mark.long
async def test_ten_thousand_random_keys_break_nothing(started: list[Answers], tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for seed in range(100, 120):
        await play_at_random(seed, 500, tmp_path)


async def play_at_random(seed: int, moves: int, folder: Path) -> None:
    dice = random.Random(seed)
    keys = ["enter", "escape", "up", "down", "tab", "shift+tab", "home", "end", "pagedown", "c", "e", "r", "f",
            "x", "/", "question_mark", "backspace", "space", "left", *"1234567", "f1", "f2", "[", "é"]  # fmt: skip
    answers = Answers(folder / "answers.json")
    app = app_with(answers)
    async with app.run_test(size=dice.choice(SIZES)) as pilot:
        await settle(pilot)
        for count in range(moves):
            await pilot.press(dice.choice(keys))
            if count % 20 == 0:
                await pilot.resize_terminal(dice.randint(1, 150), dice.randint(1, 50))
        await settle(pilot)
    Answers.load(folder / "answers.json")


async def test_no_page_has_more_than_twenty_widgets() -> None:
    """What costs start-up time is the number of widgets: 2.5 ms of CPU each."""
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        for number in range(1, 8):
            await pilot.press(str(number))
            assert len(app.screen.query("*")) <= 26


async def test_the_top_line_says_what_is_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "saved" in str(wizard_of(app).query_one("#top", Static).content)
