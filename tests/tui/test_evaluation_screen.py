"""The evaluation page over a stand-in for the job, and its lines from documents made up here."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

import tui.job_child
from tests.tui import fake_job, runs
from tests.tui.test_playground import until
from tests.tui.test_training import LARGE, SMALL, shown
from tui.screens.evaluation import EvaluationScreen
from tui.screens.evaluation_text import confusion, figure, reading, sections


class Host(App[None]):
    """Opens one evaluation page."""

    def __init__(self, folder: Path, stored: dict[str, Any] | None) -> None:
        super().__init__()
        self.folder, self.stored = folder, stored

    def on_mount(self) -> None:
        run = runs.finished(self.folder)
        (run.checkpoints_dir / "step-00000100").mkdir()
        if self.stored is not None:
            (run.path / "evaluation.json").write_text(json.dumps(self.stored))
        self.push_screen(EvaluationScreen(run))


@asynccontextmanager
async def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, stored: dict[str, Any] | None = None,
    size: tuple[int, int] = LARGE,
) -> AsyncIterator[Pilot[None]]:  # fmt: skip
    command = [sys.executable, fake_job.__file__]
    monkeypatch.setattr(tui.job_child, "job_command", lambda name: [*command, name, script])
    async with Host(folder, stored).run_test(size=size) as pilot:
        await pilot.pause()
        yield pilot


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_what_was_measured_before_is_there_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with opened(tmp_path, monkeypatch, "plain", fake_job.EVALUATION, size) as pilot:
        text = shown(pilot.app)
        for words in ("What changed", "Loss per token: 3.000 before", "On 4 rows that were held out", "right label",
                      "75.0% (3 of 4; 30-95%)"):  # fmt: skip
            assert words in text
        await pilot.press("end")
        await until(pilot, lambda text: "expected  yes" in text and "tuned   = yes" in text)


async def test_nothing_measured_says_which_key_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "plain", size=SMALL) as pilot:
        assert "Nothing is measured yet. m answers" in shown(pilot.app)
        await pilot.press("m")
        text = await until(pilot, lambda text: "What changed" in text)
    assert "Measured 2026" in text


async def test_json_is_the_stored_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "plain", fake_job.EVALUATION) as pilot:
        await pilot.press("j")
        await until(pilot, lambda text: '"task": "classification"' in text)


async def test_a_checkpoint_has_figures_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch, "plain", fake_job.EVALUATION) as pilot:
        await pilot.press("k")
        await until(pilot, lambda text: "step-00000100" in text and "Nothing is measured yet" in text)
        await pilot.press("k")
        await until(pilot, lambda text: "the result" in text and "What changed" in text)


async def test_a_failed_measurement_says_what_and_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch, "fails") as pilot:
        await pilot.press("m")
        await until(pilot, lambda text: "No rows were held out. Train again." in text)
        await pilot.press("escape")
    assert pilot.app._exit


def test_an_unchanged_model_is_said_first() -> None:
    document = {**fake_job.EVALUATION, "answers_as_before": "Every adapter weight is still zero."}
    first = sections(document)[0]
    assert first.title == "It answers as before" and "still zero" in first.lines[0]


def test_the_confusion_matrix_counts_answers_that_are_no_label() -> None:
    told = confusion({"confusion": {"a": {"a": 2, "b": 1}, "b": {"b": 3, "what?": 4}}}, "tuned")
    assert told.lines == ("   a  b  other", "a  2  1      0", "b  0  3      4")


def test_many_labels_are_shown_as_the_pairs_that_are_confused() -> None:
    counts = {f"label{number}": {"label0": number} for number in range(12)}
    told = confusion({"confusion": counts}, "tuned")
    assert told.lines[0] == "11 times label0 for label11" and len(told.lines) == 10


@pytest.mark.parametrize(
    ("value", "text"),
    [({"value": 0.5, "hits": 1, "count": 2, "low": 0.1, "high": 0.9}, "50.0% (1 of 2; 10-90%)"),
     ({"value": 0.5, "hits": 1, "count": 2}, "50.0% (1 of 2)"), ({"f1": 0.25, "precision": 1.0}, "0.25"),
     (2.0, "2"), (None, "")],
)  # fmt: skip
def test_a_figure_in_words(value: object, text: str) -> None:
    assert figure(value) == text


def test_what_a_model_wrote_cannot_paint_the_screen() -> None:
    sides = {
        side: {"examples": [{"prompt": "p\nq", "expected": "x", "answer": "\x1b[31mred"}]} for side in ("base", "tuned")
    }
    assert not any("\x1b" in line or "\n" in line for line in reading({"sides": sides}))
