"""Every screen in a real terminal over names, rows, answers, files and findings that are attacks: none gets out raw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.terminal import Terminal
from tests.tui import fake_job, runs
from tests.tui.payloads import MARKUP, PAYLOADS
from tests.tui.test_training_pty import opened


def leaked(terminal: Terminal) -> list[str]:
    """The payloads whose very bytes reached the terminal."""
    raw = terminal.raw()
    return [text for text in PAYLOADS if text.encode("utf-8", "surrogatepass") in raw]


def test_hostile_events_answers_and_logs_reach_no_terminal(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path, 40, 100)
    for text in (*PAYLOADS, *MARKUP):
        log.write("warning", what=text, where=text, fix=text)
        log.write("sample", step=40, prompt=text, base=text, tuned=text, expected=text)
    run.log_path.write_bytes("\n".join((*PAYLOADS, *MARKUP)).encode("utf-8", "surrogatepass"))
    log.write("error", what=PAYLOADS[1], where=PAYLOADS[3], fix=PAYLOADS[9])
    log.write("end", reason="failed", step=40, seconds=1.0, detail=PAYLOADS[7])
    with opened(run) as terminal:
        terminal.wait_for("Failed at step 40")
        for key, words in (("l", "[/INST]"), ("o", "Log of the engine"), ("a", "expected")):
            terminal.send(key)
            terminal.wait_for(words)
            terminal.settle()
        assert leaked(terminal) == []


def press(terminal: Terminal, *steps: tuple[str, str]) -> None:
    """Press each key and wait for its words."""
    for key, words in steps:
        terminal.send(*key.split())
        terminal.wait_for(words)
        terminal.settle()


def test_hostile_answers_of_a_model_reach_no_terminal(tmp_path: Path) -> None:
    run = runs.finished(tmp_path)
    runs.finished(tmp_path, name="other \x1b[31m [bold]x\u202e")
    with opened(run, "playground") as terminal:
        terminal.wait_for("Ready on")
        press(terminal, ("hello enter", "77 tokens"), ("f3", "expected"), ("ctrl+o", "Asked before"), ("escape", "Ask"))
        press(terminal, ("ctrl+l", "Which answer"), ("enter", "comes from"), ("escape", "Ask"), ("ctrl+s", "System"))
        assert leaked(terminal) == []


def test_hostile_paths_and_notes_of_an_export_reach_no_terminal(tmp_path: Path) -> None:
    with opened(runs.finished(tmp_path), "export") as terminal:
        terminal.wait_for("not this model")
        press(terminal, ("enter", "Into which base?"), ("enter", "In which number format?"), ("enter", "Done."))
        press(terminal, ("escape", "What do you want"), ("down down down enter", "merged model?"))
        press(terminal, ("enter", "Where to?"), ("enter", "Done."), ("end", "[/INST]"))
        assert leaked(terminal) == []


def test_a_hostile_evaluation_reaches_no_terminal(tmp_path: Path) -> None:
    run = runs.finished(tmp_path)
    (run.checkpoints_dir / "step-00000100").mkdir()
    hostile = " ".join((*PAYLOADS, *MARKUP))
    document = {**fake_job.EVALUATION, "made": hostile, "answers_as_before": hostile, "sentences": [hostile]}
    example = {"prompt": hostile, "expected": hostile, "answer": hostile}
    sides: Any = fake_job.EVALUATION["sides"]
    document["sides"] = {name: {**side, "examples": [example], "confusion": {hostile: {hostile: 1}}}
                         for name, side in sides.items()}  # fmt: skip
    (run.path / "evaluation.json").write_text(json.dumps(document))
    with opened(run, "evaluation") as terminal:
        terminal.wait_for("Measured")
        press(terminal, ("end", "Measured"), ("j", '"sides"'), ("k", "step-00000100"), ("m", "notic"))
        assert leaked(terminal) == []


def test_hostile_names_and_recipes_reach_no_terminal(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "runs")
    other = runs.finished(tmp_path / "runs", name="other \x1b[31m [bold]x\u202e")
    hostile = json.dumps(" ".join((*PAYLOADS[:-2], *MARKUP)))
    other.recipe_path.write_text(f'[model]\nsource = "demo"\n[data]\nsource = {hostile}\n')
    with opened(run, "compare") as terminal:
        terminal.wait_for("Compare")
        terminal.settle()
        assert leaked(terminal) == []
    with opened(run, "home", home=tmp_path) as terminal:
        terminal.wait_for("other")
        terminal.settle()
        press(terminal, ("down down down", "other"), ("d", "Delete this run?"), ("escape", "Help"))
        assert leaked(terminal) == []


def test_hostile_adapters_reach_no_terminal(tmp_path: Path) -> None:
    with opened(runs.finished(tmp_path / "runs"), "adapters", home=tmp_path) as terminal:
        terminal.wait_for("runs have one")
        press(terminal, ("space", "stays alone"), ("enter", "BASE.gguf"), ("escape", "Combine"))
        press(terminal, ("down space", "marked"), ("down space", "2 marked"), ("m", "Weight of"))
        press(terminal, ("enter", "The combined adapter"))
        assert leaked(terminal) == []


def test_hostile_rows_reach_no_terminal(tmp_path: Path) -> None:
    with opened(runs.finished(tmp_path), "mask") as terminal:
        terminal.wait_for("Row 1")
        terminal.settle()
        press(terminal, ("end", "special token"))
        assert leaked(terminal) == []


@pytest.mark.parametrize("step", ["machine", "goal", "model", "data", "method", "settings", "review"])
def test_what_the_wizard_found_out_reaches_no_terminal(tmp_path: Path, step: str) -> None:
    with opened(runs.finished(tmp_path), "wizard", step) as terminal:
        terminal.wait_for("Explain")
        terminal.settle()
        if step == "data":
            press(terminal, ("down", "d Details"), ("d", "in detail"), ("escape", "Explain"))
        press(terminal, ("ctrl+p", "Leave"))
        assert leaked(terminal) == []
