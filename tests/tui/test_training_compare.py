"""Comparing runs: the axes they are lined up by, and the differences of their recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.recipe import Answer, Recipe
from engine.runs.history import History
from engine.runs.store import Run
from tests.tui import runs
from tests.tui.test_training import LARGE, SMALL, opened, settled, shown
from tui.watch.comparing import AXES, Compared, axis_values, differences, outcome


def with_recipe(run: Run, **values: object) -> Run:
    answers = {"model.source": "demo", "data.source": "rows.jsonl"}
    answers.update({key.replace("__", "."): value for key, value in values.items()})  # type: ignore[misc]
    told = {key: Answer(value, "you", "for a test") for key, value in answers.items()}
    Recipe.from_answers(told).save(run.recipe_path)
    return run


def read(run: Run) -> Compared:
    one = Compared.of(run)
    while one.feed.poll():
        pass
    one.build()
    return one


def test_curves_are_lined_up_by_steps_tokens_or_minutes() -> None:
    history = History()
    for number in range(1, 4):
        history.add({"type": "step", "step": number, "loss": 1.0, "seconds": 30.0, "tokens_per_second": 100.0})
    assert [list(axis_values(history, by)) for by in AXES] == [
        [1, 2, 3], [3_000, 6_000, 9_000], [0.5, 1.0, 1.5],
    ]  # fmt: skip


def test_a_run_that_does_not_say_its_time_is_lined_up_by_steps() -> None:
    history = History()
    history.add({"type": "step", "step": 1, "loss": 1.0})
    assert list(axis_values(history, "minutes")) == [1]


def test_only_what_differs_is_listed(tmp_path: Path) -> None:
    first = with_recipe(runs.finished(tmp_path, name="one"), training__learning_rate=1e-4, method__rank=8)
    second = with_recipe(runs.finished(tmp_path, name="two"), training__learning_rate=3e-4, method__rank=8)
    assert differences([read(first), read(second)]) == [("training.learning_rate", ["0.0001", "0.0003"])]


def test_a_recipe_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    first, second = runs.finished(tmp_path, name="one"), with_recipe(runs.finished(tmp_path, name="two"))
    first.recipe_path.write_text("not toml [")
    assert all(values[0] == "unreadable" for _, values in differences([read(first), read(second)]))


def test_the_outcome_of_a_run(tmp_path: Path) -> None:
    state, loss, best, steps = outcome(read(runs.finished(tmp_path)))
    assert (state, steps) == ("finished", "400")
    assert float(loss) < 1
    assert float(best) < 1


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_page_lays_runs_over_each_other(tmp_path: Path, size: tuple[int, int]) -> None:
    run = with_recipe(runs.finished(tmp_path, name="one"), method__rank=8)
    with_recipe(runs.failed(tmp_path, name="two"), method__rank=64)
    async with opened(run, size) as pilot:
        await pilot.press("c")
        await settled(pilot)
        text = shown(pilot.app)
        for words in ("2 runs", "one", "two", "failed", "best held-out loss", "steps"):
            assert words in text
        await pilot.press("t")
        await settled(pilot)
        assert "by tokens" in shown(pilot.app)
        await pilot.press("end", "escape")
        await settled(pilot)
        assert "Finished after" in shown(pilot.app)
