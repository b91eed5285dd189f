"""The training screen as a person uses it: over run directories, with keys, at both sizes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher

import tui.screens.training as training
import tui.screens.training_controls as controls
from engine.runs.control import pending
from engine.runs.liveness import Liveness
from engine.runs.store import Run
from tests.tui import runs
from tests.tui.payloads import MARKUP, PAYLOADS
from tui.app import TunewrightApp
from tui.screens.question import QuestionScreen
from tui.screens.training import TrainingScreen
from tui.text import UNSAFE
from tui.watch.telemetry import Reading, Telemetry

SMALL, LARGE = (80, 24), (120, 40)


def shown(app: App[object]) -> str:
    """What the screen shows, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@pytest.fixture(autouse=True)
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine runs in these tests; the machine is a fixed one."""
    reading = Reading(Liveness("running", "Training.", 1), (), 4_000_000_000, 16_000_000_000, 55.0, 0, 50_000_000_000)
    monkeypatch.setattr(Telemetry, "read", lambda self: reading)


@asynccontextmanager
async def opened(run: Run, size: tuple[int, int] = LARGE) -> AsyncIterator[Pilot[str]]:
    app = TunewrightApp("attach", run=run)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        yield pilot


async def settled(pilot: Pilot[str]) -> None:
    """All that is waiting has been drawn."""
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def screen_of(pilot: Pilot[str]) -> TrainingScreen:
    screen = pilot.app.screen
    assert isinstance(screen, TrainingScreen)
    return screen


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_running_run_shows_state_curve_numbers_and_keys(tmp_path: Path, size: tuple[int, int]) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run, size) as pilot:
        text = shown(pilot.app)
    for words in ("demo-1", "training", "step 120 of 400", "Falling normally", "smoothed", "evaluation", "400 steps",
                  "tokens/s", "RAM", "Stop and save", "Detach"):  # fmt: skip
        assert words in text
    assert "\u25c6" in text  # evaluation points


async def test_a_large_screen_has_small_charts_and_the_newest_events(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        text = shown(pilot.app)
    for words in ("Learning rate", "Tokens per second", "Gradient norm", "Memory", "Checkpoint saved at step 120"):
        assert words in text


async def test_new_steps_are_drawn_at_the_next_look(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path)
    async with opened(run) as pilot:
        runs.write_steps(log, 121, 160, 400)
        screen_of(pilot).tick()
        await pilot.pause()
        assert "step 160 of 400" in shown(pilot.app)


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_finished_run_says_what_came_of_it_and_what_is_next(tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(runs.finished(tmp_path), size) as pilot:
        text = shown(pilot.app)
    for words in ("Finished after 400 steps", "held-out loss", "1 min 04 s", "result", "talk with it", "Export"):
        assert words in text
    assert "Stop and save" not in text


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_failed_run_says_what_where_how_to_mend_it_and_the_log(tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(runs.failed(tmp_path), size) as pilot:
        text = shown(pilot.app)
    for words in ("Failed at step 120", "ran out of memory", "GPU 0", "Halve the micro-batch", "engine.log", "Go on"):
        assert words in text
    assert "Traceback" not in text


async def test_a_run_that_says_nothing_yet_opens(tmp_path: Path) -> None:
    async with opened(runs.make_run(tmp_path)) as pilot:
        assert "starting" in shown(pilot.app)


async def test_stopping_asks_first_and_does_nothing_on_no(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press("s")
        assert isinstance(pilot.app.screen, QuestionScreen)
        assert "Nothing is lost" in shown(pilot.app)
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, TrainingScreen)
        assert pending(run) == []


async def test_stopping_waits_for_the_engines_own_answer(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press("s", "y")
        (request,) = pending(run)
        assert request.action == "stop"
        await pilot.pause()
        assert "Waiting for its answer" in shown(pilot.app)
        log.write("control", id=request.identity, action="stop", accepted=True, detail="stopping after step 121")
        screen_of(pilot).tick()
        await pilot.pause()
        assert "stopping after step 121" in shown(pilot.app)
        log.write("end", reason="stopped", step=121, seconds=1.0, detail="Stopped, saved at step 121.")
        screen_of(pilot).tick()
        await pilot.pause()
        assert "The engine will do it" not in shown(pilot.app)


async def test_an_engine_that_refuses_is_quoted(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press("s", "y")
        log.write("control", id=pending(run)[0].identity, action="stop", accepted=False, detail="already stopping")
        screen_of(pilot).tick()
        await pilot.pause()
        assert "refused: already stopping" in shown(pilot.app)


async def test_an_engine_that_is_busy_for_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = runs.running(tmp_path)
    monkeypatch.setattr(controls, "PATIENCE_SECONDS", -1.0)
    async with opened(run) as pilot:
        await pilot.press("s", "y")
        screen_of(pilot).tick()
        await pilot.pause()
        assert "It is busy" in shown(pilot.app)


async def test_detaching_says_how_to_come_back(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press("d")
    assert pilot.app.return_value == "Training continues. Come back with: tunewright attach demo-1"


async def test_leaving_a_page_that_was_opened_alone_leaves_the_program(tmp_path: Path) -> None:
    async with opened(runs.finished(tmp_path)) as pilot:
        await pilot.press("escape")
    assert "attach done" in str(pilot.app.return_value)


async def test_keys_change_the_chart(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press("y")
        assert "log scale" in shown(pilot.app)
        await pilot.press("y", "plus")
        assert "zoomed" in shown(pilot.app)
        await pilot.press("0")
        assert "zoomed" not in shown(pilot.app)
        await pilot.press("left")
        assert "step 11" in shown(pilot.app).splitlines()[2]
        await pilot.press("0", "g", "g")
        assert "\u28ff" not in shown(pilot.app)


async def test_the_cursor_reads_single_steps_in_words(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path, steps=10, total=20)
    async with opened(run) as pilot:
        await pilot.press("left", "left", "left")
        first = shown(pilot.app).split("each step")[0].rsplit("step ", 1)[1]
        await pilot.press("right")
        second = shown(pilot.app).split("each step")[0].rsplit("step ", 1)[1]
        assert int(second.rstrip(": ")) == int(first.rstrip(": ")) + 1


async def test_the_log_shows_events_then_the_engines_own_words(tmp_path: Path) -> None:
    async with opened(runs.failed(tmp_path), SMALL) as pilot:
        await pilot.press("l")
        await settled(pilot)
        assert "Evaluated at step 40" in shown(pilot.app)
        await pilot.press("o")
        await settled(pilot)
        assert "OutOfMemoryError: 2 GB" in shown(pilot.app)
        await pilot.press("slash", *"traceback")
        await settled(pilot)
        text = shown(pilot.app)
        assert "OutOfMemoryError" not in text
        assert "Traceback" in text
        await pilot.press("escape")
        await settled(pilot)
        assert "OutOfMemoryError" in shown(pilot.app)
        await pilot.press("l")
        assert screen_of(pilot).query_one(ContentSwitcher).current == "charts"


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_answers_are_shown_beside_the_base_models(tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(runs.finished(tmp_path), size) as pilot:
        await pilot.press("a")
        await settled(pilot)
        text = shown(pilot.app)
    for words in ("Two mushroom pizzas", "expected", "base model", "the the", "step 400"):
        assert words in text


@pytest.mark.parametrize("size", [(10, 5), (1, 1), (200, 60), (40, 12)])
async def test_no_size_crashes(tmp_path: Path, size: tuple[int, int]) -> None:
    run, log = runs.running(tmp_path)
    async with opened(run, size) as pilot:
        for key in ("l", "o", "a", "y", "plus", "left", "g"):
            await pilot.press(key)
        runs.write_steps(log, 121, 130, 400)
        screen_of(pilot).tick()
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        assert "demo-1" in shown(pilot.app)


async def test_hostile_events_and_logs_are_shown_harmless(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path)
    for text in (*PAYLOADS, *MARKUP):
        log.write("warning", what=text, where=text, fix=text)
        log.write("sample", step=1, prompt=text, base=text, tuned=text, expected=text)
    run.log_path.write_bytes("\n".join((*PAYLOADS, *MARKUP)).encode("utf-8", "surrogatepass"))
    async with opened(run, (200, 60)) as pilot:
        for keys in ((), ("a",), ("l",), ("o",)):
            await pilot.press(*keys)
            await settled(pilot)
            text = shown(pilot.app)
            assert not UNSAFE.search(text.replace("\n", ""))
        assert "[/INST]" in text


async def test_drawing_waits_while_the_line_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, log = runs.running(tmp_path)
    async with opened(run) as pilot:
        monkeypatch.setattr(TrainingScreen, "_terminal_is_busy", lambda self: True)
        runs.write_steps(log, 121, 160, 400)
        screen_of(pilot).tick()
        await pilot.pause()
        assert "step 120 of 400" in shown(pilot.app)
        assert screen_of(pilot).feed.history.step == 160


async def test_a_run_that_went_back_is_drawn_without_what_it_lost(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path)
    async with opened(run) as pilot:
        log.write("rewind", step=80)
        runs.step(log, 81, 400, 1.0)
        screen_of(pilot).tick()
        await pilot.pause()
        charts = screen_of(pilot).query_one("#charts", training.RunCharts)
        assert charts.lines.raw.xs[-1] == 81
        assert len(charts.lines.raw) == 81
        assert "step 81 of 400" in shown(pilot.app)


async def test_the_playground_is_offered_only_with_a_result(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        assert screen_of(pilot).check_action("playground", ()) is False
    async with opened(runs.finished(tmp_path)) as pilot:
        assert screen_of(pilot).check_action("playground", ()) is True


async def test_help_lists_every_key_of_the_page(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press("question_mark")
        await settled(pilot)
        text = shown(pilot.app)
    for words in ("How to read this page", "Diamonds are evaluations", "Keys here"):
        assert words in text


@pytest.mark.parametrize(("key", "action"), [("w", "save"), ("e", "evaluate")])
async def test_one_key_asks_for_what_stops_nothing(tmp_path: Path, key: str, action: str) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press(key)
        assert [request.action for request in pending(run)] == [action]


async def test_pausing_says_what_it_does_first(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press("space")
        assert "GPU is free" in shown(pilot.app)
        assert pending(run) == []
        await pilot.press("y")
        assert [request.action for request in pending(run)] == ["pause"]


async def test_the_terminal_rings_at_the_end_only_when_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[int] = []
    monkeypatch.setattr(TunewrightApp, "bell", lambda self: rung.append(1))
    for name, keys in (("silent", ()), ("loud", ("b",))):
        run, log = runs.running(tmp_path, name=name)
        async with opened(run) as pilot:
            await pilot.press(*keys)
            log.write("end", reason="finished", step=120, seconds=1.0)
            screen_of(pilot).tick()
            await pilot.pause()
        assert len(rung) == len(keys)


async def test_the_axis_counts_steps_epochs_or_time(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    async with opened(run) as pilot:
        await pilot.press("t")
        assert "3 epochs" in shown(pilot.app)
        await pilot.press("t")
        assert "2 min" in shown(pilot.app)
        await pilot.press("t")
        assert "400 steps" in shown(pilot.app)
