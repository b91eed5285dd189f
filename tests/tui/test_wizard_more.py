"""The wizard's less trodden ways: needs, search, sign-in, columns by hand, another amount, the cursor, few bytes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from engine.errors import UserError
from engine.plan.memory import Memory
from engine.recipe import Answer
from tests.tui import wizard_fakes as fakes
from tests.tui.test_wizard import app_with, page_of, press, settle, text_of
from tui.answers import Answers
from tui.screens import hub_sign_in, lookups
from tui.screens.explain import ExplainScreen
from tui.screens.pages import review as review_page
from tui.screens.wizard import WizardScreen
from tui.steps import hub_search, mapping, needs, review
from tui.steps.facts import Facts
from tui.steps.hub_search import HubResult
from tui.steps.looking import remedy_question
from tui.steps.option import Remedy
from tui.widgets.choice import ChoiceList
from tui.widgets.field import Field
from tui.widgets.plain import Plain


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers())


def at(step: str) -> Answers:
    answers = fakes.answers()
    answers.at = step
    return answers


def big_facts() -> Facts:
    """A model of 7 billion parameters on a card of 24 GB."""
    from engine.models.spec import spec_from_config

    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
              "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
              "intermediate_size": 11008, "vocab_size": 32000,
              "max_position_embeddings": 4096, "torch_dtype": "bfloat16"}  # fmt: skip
    found = fakes.facts()
    files = fakes.model()
    found.model.value = type(files)(**{**files.__dict__, "spec": spec_from_config(config, "test")})
    found.data.value = None
    return found


def test_the_smallest_cards_grow_with_the_method() -> None:
    qlora, lora, full = needs.smallest_gpus(fakes.answers(), big_facts())
    assert [need.method for need in (qlora, lora, full)] == ["qlora", "lora", "full"]
    assert 0 < qlora.vram_gb <= lora.vram_gb
    assert full.vram_gb == 0 or full.vram_gb > lora.vram_gb
    text = needs.needs_text([qlora, lora, full])
    assert f"QLoRA: {qlora.vram_gb} GB, such as" in text


def test_without_a_model_the_needs_say_what_to_do_first() -> None:
    assert needs.smallest_gpus(Answers(), Facts()) == []
    assert "Choose a model first" in needs.needs_text([])


def test_the_remedy_is_the_longest_length_that_fits() -> None:
    facts, answers = big_facts(), fakes.answers()
    facts.machine.value = fakes.machine(vram_gb=8)
    answers.put("method.name", "qlora")
    answers.put("training.sequence_length", 4096)
    answers.put("training.micro_batch_size", 4)
    remedy = needs.find_remedy(answers, facts)
    assert remedy is None or (remedy.key == "training.sequence_length" and 128 <= int(str(remedy.value)) < 4096)
    facts.machine.value = fakes.machine(vram_gb=2)
    assert needs.find_remedy(answers, facts) is None


def test_a_remedy_is_sought_only_when_nothing_fits() -> None:
    facts = fakes.facts()
    assert remedy_question(fakes.answers(), facts) is None
    facts.plan.value = fakes.plan(qlora=50, lora=60, full=90, recommended="qlora")
    assert remedy_question(fakes.answers(), facts) is not None


async def test_the_remedy_is_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = Remedy("Cut rows to 64 tokens", "training.sequence_length", 64)
    nothing = fakes.plan(qlora=50, lora=60, full=90, recommended="qlora")
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(plan=nothing, remedy=remedy))
    answers = at("method")
    app = app_with(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "Press f: Cut rows to 64 tokens." in text_of(app)
        await press(pilot, "f")
        assert answers.values["training.sequence_length"].value == 64


async def test_what_would_i_need_is_a_key_on_the_method_page(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [needs.Need("qlora", 12, "RTX 3060", 10 * fakes.GIB, fakes.GIB, fakes.GIB)]
    monkeypatch.setattr(needs, "smallest_gpus", lambda answers, facts: found)
    app = app_with(at("method"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "w")
        assert isinstance(app.screen, ExplainScreen)
        assert "QLoRA: 12 GB, such as RTX 3060" in text_of(app)


async def test_any_amount_of_memory_can_be_pretended() -> None:
    answers = fakes.answers()
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "down", "enter", "end", "enter")
        await press(pilot, *"lots", "enter")
        assert "is not an amount of memory" in text_of(app)
        page_of(app).query_one(Field).text = "0"
        await press(pilot, "enter")
        assert answers.text("pretend.vram_gb") == "0"
        assert answers.at == "goal"


RESULTS = [HubResult("owner/small", 494_000_000, 12_000, False, "apache-2.0"),
           HubResult("meta/big", 0, 5, True, "llama3")]  # fmt: skip


async def test_the_hub_is_searched_and_a_result_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(hub_search, "search_hub", lambda words: asked.append(words) or RESULTS)
    answers = at("model")
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "s")
        await press(pilot, *"smol", "enter")
        text = text_of(app)
        assert asked == ["smol"]
        assert "owner/small" in text and "494 million parameters, apache-2.0, 12 thousand downloads" in text
        assert "access must be asked for" in text
        await press(pilot, "enter")
        assert answers.text("model.source") == "owner/small"
        assert "Use this model" in text_of(app)


async def test_a_silent_hub_is_said_and_the_list_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = at("model")
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "s")
        await press(pilot, "x", "enter")
        assert "HF_HUB_OFFLINE forbids" in text_of(app)
        assert answers.text("model.source") == "/models/small"


async def test_esc_leaves_the_search_and_keeps_the_answer() -> None:
    answers = at("model")
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "s", "x", "escape")
        assert answers.at == "model"
        assert page_of(app).query_one(Field).text == "/models/small"


@pytest.mark.parametrize("failure", [OSError("no route"), ValueError("bad answer")])
def test_every_failure_of_the_hub_is_one_sentence(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(words: str) -> list[HubResult]:
        raise failure

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(hub_search, "_search", fail)
    with pytest.raises(UserError) as found:
        hub_search.search_hub("x")
    assert type(failure).__name__ in found.value.what


def test_what_the_hub_leaves_out_is_said() -> None:
    class Info:
        id = "a/b"

    (option,) = hub_search.options([hub_search._result(Info())], fakes.facts())
    assert "size not given" in option.consequence and option.mark == ""


async def test_a_locked_model_leads_to_the_hubs_own_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = UserError("meta/big may only be used after its owner has agreed.", "https://huggingface.co/meta/big",
                       "Ask for access on that page, then sign in here with: hf auth login")  # fmt: skip
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(model=locked))
    signed: list[Any] = []
    monkeypatch.setattr(hub_sign_in, "sign_in", signed.append)
    app = app_with(at("model"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "may only be used after its owner has agreed" in text_of(app)
        assert "Sign in to the Hub" in text_of(app)
        page = page_of(app)
        page.query_one(ChoiceList).highlighted = 0
        monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers())
        await press(pilot, "enter")
        assert signed == [app]
        assert "Sign in to the Hub" not in text_of(app)


def test_the_token_never_passes_through_this_program() -> None:
    assert hub_sign_in.COMMAND[1:] == ("-m", "huggingface_hub.cli.hf", "auth", "login")


UNKNOWN = {**fakes.data(), "format": "", "reason": "No known format.", "columns": ["frage", "antwort", "note"],
           "previews": [], "lengths": None}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "columns", "asked"),
    [("instruction", ["instruction", "output"], []), ("instruction", ["frage", "antwort"], ["instruction", "output"]),
     ("text", ["text"], []), ("nothing", ["a"], []), ("instruction", [], [])],
)  # fmt: skip
def test_columns_are_asked_only_where_their_names_say_nothing(name: str, columns: list[str], asked: list[str]) -> None:
    assert mapping.roles_to_ask(name, columns) == asked


async def test_unknown_columns_are_named_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(data=UNKNOWN))
    answers = at("data")
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "down", "enter", "down", "enter")
        assert "Which column is what is asked for (instruction)?" in text_of(app)
        await press(pilot, "enter")
        assert "Which column is the answer to learn (output)?" in text_of(app)
        await press(pilot, "enter")
        assert answers.values["data.map"] == Answer({"instruction": "frage", "output": "antwort"}, "you",
                                                    "the columns that you named")  # fmt: skip
        assert answers.text("data.format") == "instruction"


async def test_esc_leaves_the_columns_without_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(data=UNKNOWN))
    answers = at("data")
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "down", "enter", "down", "enter", "escape")
        assert answers.at == "data"
        assert "data.map" not in answers.values and "data.format" not in answers.values


async def test_the_terminals_cursor_follows_the_highlight() -> None:
    app = app_with(at("goal"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        before = app.cursor_position
        await press(pilot, "down")
        assert app.cursor_position.y == before.y + 2
        line = text_of(app).splitlines()[app.cursor_position.y]
        assert "Sort texts into classes" in line


async def test_text_that_did_not_change_is_not_painted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with(at("method"))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        painted: list[Any] = []
        monkeypatch.setattr(Plain, "update", lambda self, content, layout=True: painted.append(content))
        app.screen.facts_changed()  # type: ignore[attr-defined]
        assert painted == []


async def test_a_second_enter_starts_no_second_run(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def slow(answers: Answers, facts: Facts, rehearse: bool = False) -> None:
        begun.append(1)
        time.sleep(0.5)
        raise UserError("Stopped by the test.")

    monkeypatch.setattr(review, "start", slow)
    monkeypatch.setattr(review_page, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("engine.machine.packages.is_installed", lambda name: True)
    app = app_with(at("review"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("enter", "enter", "enter")
        await settle(pilot)
        assert begun == [1]
        await press(pilot, "enter")
        assert begun == [1, 1]


async def test_a_held_enter_key_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(WizardScreen, "on_review_page_start", lambda self: begun.append(1))
    app = app_with(at("review"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        page = page_of(app)
        assert isinstance(page, review_page.ReviewPage)
        page._opened = time.monotonic() + 60
        await press(pilot, "enter")
        assert begun == []
        page._opened = time.monotonic() - 1
        await press(pilot, "enter")
        assert begun == [1]


async def test_a_path_can_be_begun_from_the_list() -> None:
    answers = at("model")
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "slash", *"nowhere/3c")
        assert answers.at == "model"
        assert app.screen.query_one("#source PlainInput").value == "/nowhere/3c"
        await press(pilot, "enter")
        assert "/nowhere/3c" in text_of(app)


async def test_rows_that_cannot_be_read_can_be_left_out() -> None:
    answers = at("data")
    app = app_with(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        page = app.screen.page
        page.facts.data.problem = UserError("Line 2 is not a row of JSON.", "x:2", "Mend it (data.skip_bad_rows=true).")
        page.show_facts()
        assert "Leave out rows that cannot be read" in text_of(app)
        await press(pilot, "enter")
        assert answers.values["data.skip_bad_rows"].value is True


async def test_a_simulation_takes_the_estimates_place_and_an_earlier_page_asks_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 30 * fakes.GIB
    memory = Memory("simulation", size, size, size, {"weights": size}, exact=True)
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers(simulation=memory))
    app = app_with(at("data"))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "(estimate)" in text_of(app)
        await press(pilot, "escape", "5")
        await settle(pilot)
        assert "(simulation)" in text_of(app)
        assert "Simulated: needs 30.0 GiB" in text_of(app)
        assert "does not fit" in text_of(app)  # 30 of 23 GiB, where the estimate had said 8


async def test_the_rehearsal_alone_is_a_line_of_the_review(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def begin(answers: Answers, facts: Facts, rehearse: bool = False) -> None:
        seen.append(rehearse)
        raise UserError("Stopped by the test.", "here", "Nothing.")

    monkeypatch.setattr(review, "start", begin)
    monkeypatch.setattr(review_page, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("engine.machine.packages.is_installed", lambda name: True)
    app = app_with(at("review"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "Rehearse only" in text_of(app)
        await press(pilot, "down", "enter")
    assert seen == [True]


async def test_paging_the_palette_in_a_terminal_of_no_width_breaks_nothing() -> None:
    app = app_with(at("method"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("f2")
        for columns in range(1, 8):
            await pilot.resize_terminal(columns, 1 + columns % 3)
            await pilot.press("pagedown", "pageup", "down", "up", "a", "pagedown", "backspace", "pageup")
        await pilot.press("escape")
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "Method" in text_of(app)


async def test_what_a_logout_would_end_is_said_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "logout_words", lambda: "This system ends your programs when you log out.")
    monkeypatch.setattr("engine.machine.packages.is_installed", lambda name: True)
    app = app_with(at("review"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "ends your programs when you log out" in text_of(app)
