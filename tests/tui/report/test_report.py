"""The report of a run: what is on the page and in the picture, and that nothing of a run can break out of it."""

from __future__ import annotations

import io
import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.runs.history import load_history
from engine.runs.store import Run, create_run
from tests.tui.payloads import PAYLOADS
from tui import cli
from tui.report.figure import COLUMNS, loss_figure, small_figures
from tui.report.svg import svg
from tui.report.write import write_report


def step(number: int, loss: Any) -> dict[str, Any]:
    return {"type": "step", "step": number, "total_steps": 5_000, "loss": loss, "lr": 1e-4 * number, "grad_norm": 1.0,
            "tokens_per_second": 900.0, "mem": 2 << 30, "seconds": 0.1}  # fmt: skip


def make_run(folder: Path, events: list[dict[str, Any]], **answers: str) -> Run:
    values = {"model.source": str(folder), "data.source": str(folder / "d"), **answers}
    recipe = Recipe.from_answers({key: Answer(value, "you", "because") for key, value in values.items()})
    run = create_run(recipe, folder / "runs", "one")
    lines = [json.dumps({"v": 1, "seq": at, "t": 1.0 + at, "mono": 1.0, **event}) for at, event in enumerate(events)]
    run.events_path.write_text("".join(line + "\n" for line in lines))
    return run


def usual() -> list[dict[str, Any]]:
    events = [step(number, 4.0 - number / 100) for number in range(1, 201)]
    events.insert(60, {"type": "eval", "step": 60, "loss": 3.2})
    events.insert(61, {"type": "sample", "step": 60, "prompt": "p", "expected": "e", "tuned": "t", "base": "b"})
    events.append({"type": "checkpoint", "step": 200, "bytes": 10})
    return [*events, {"type": "end", "reason": "finished", "step": 200, "seconds": 61.0, "detail": ""}]


class Tags(HTMLParser):
    """The tags and the text of a page; fails on a tag that is never closed."""

    ALONE = ("meta",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_holds_curves_evaluations_answers_recipe_and_the_end(tmp_path: Path) -> None:
    report = write_report(make_run(tmp_path, usual()))
    page = Tags(report.page.read_text())
    assert page.open == []
    text = " ".join(page.words)
    for word in ("Finished", "200 of 5,000", "3.2", "data.source", "because", "1 min 01 s", "verdict"):
        assert word in text
    assert page.names.count("svg") == 5
    assert {"script", "img", "link", "iframe"}.isdisjoint(page.names)


def test_the_picture_is_a_png_with_the_curve_on_it(tmp_path: Path) -> None:
    report = write_report(make_run(tmp_path, usual()))
    assert report.picture is not None
    picture = Image.open(io.BytesIO(report.picture.read_bytes())).convert("RGB")
    colours = {colour for _, colour in picture.getcolors(1 << 20) or []}
    assert {(0x1D, 0x4E, 0xD8), (0xB4, 0x53, 0x09)} <= colours  # the line and the dot of an evaluation


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_a_run_becomes_a_tag_or_a_control_character(tmp_path: Path, payload: str) -> None:
    hostile = payload + "</td><script>alert(1)</script>"
    events = [*usual(), {"type": "warning", "what": hostile, "where": hostile, "fix": hostile},
              {"type": "sample", "step": 90, "prompt": hostile, "tuned": hostile, "base": hostile}]  # fmt: skip
    text = write_report(make_run(tmp_path, events)).page.read_text()
    assert "script" not in Tags(text).names
    assert not [sign for sign in text if ord(sign) < 32 and sign not in "\n"]


def test_a_run_of_any_length_is_a_few_hundred_points(tmp_path: Path) -> None:
    history = load_history(make_run(tmp_path, [step(number, 3.0) for number in range(1, 5_000)]))
    figure = loss_figure(history)
    assert figure is not None and len(figure.line) <= COLUMNS and len(svg(figure)) < 60_000
    assert len(small_figures(history)) == 4


def test_a_loss_that_is_no_number_is_a_mark_and_not_a_point(tmp_path: Path) -> None:
    events = [step(1, 3.0), step(2, "NaN"), step(3, 2.0), step(4, 1.0)]
    figure = loss_figure(load_history(make_run(tmp_path, events)))
    assert figure is not None and figure.gaps == (2.0,)
    assert 'class="gap"' in svg(figure)


def test_without_steps_there_is_a_page_and_no_picture(tmp_path: Path) -> None:
    report = write_report(make_run(tmp_path, [{"type": "phase", "phase": "loading model"}]))
    assert report.picture is None and report.note and report.page.is_file()


def test_without_pillow_the_page_is_written_and_the_remedy_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    report = write_report(make_run(tmp_path, usual()))
    assert report.picture is None and "pip install pillow" in report.note


def test_a_run_without_a_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has not said anything"):
        write_report(make_run(tmp_path, []))


def test_the_verb_says_where_it_is_and_warns_what_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, usual())
    assert cli.main(["report", "one", "--runs", str(run.path.parent), "--out", str(tmp_path / "o")]) == 0
    told = capsys.readouterr().out
    assert str(tmp_path / "o" / "report.html") in told and "rows of your data" in told
    assert cli.main(["report", "one", "--runs", str(run.path.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["picture"] == str(run.path / "report.png")
