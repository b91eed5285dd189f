"""Chat, evaluation and export as text, with a job that needs no model."""

from __future__ import annotations

import io
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from engine.runs.store import Run, create_run
from tests.pty import fake_engine
from tui import cli, job_child, jobs
from tui.screens.evaluation_text import comparison
from tui.verbs.chat import Conversation
from tui.verbs.columns import side_by_side

CHILD = """
import json, sys
def say(**message): print(json.dumps(message), flush=True)
first = json.loads(sys.stdin.readline())
"""
ECHO = """
say(progress={"phase": "loading model"})
say(ready={"base": "tiny", "device": "cpu"})
for line in sys.stdin:
    request = json.loads(line)
    if request["turns"][-1]["content"] == "too long":
        say(error={"what": "The conversation is too long.", "exit_code": 2})
        continue
    count = {"tuned": len(request["turns"]), "base": len(request["base_turns"])}
    sides = ["base", "tuned"] if request["which"] == "both" else [request["which"]]
    for side in sides: say(token={"which": side, "text": f"{side} {count[side]}"})
    say(reply={side: f"{side} {count[side]} {request['base_turns'][-1]['content']}" for side in sides})
"""


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Make every job run a small script; its first request is in `first`."""
    monkeypatch.setattr("engine.machine.packages.missing_training_packages", lambda: ())

    def use(body: str) -> None:
        script = tmp_path / "child.py"
        script.write_text(CHILD + textwrap.dedent(body))
        monkeypatch.setattr(job_child, "job_command", lambda name: [sys.executable, str(script), name])

    return use


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(fake_engine.recipe(), tmp_path / "runs", "done")


def words(run: Run, *more: str) -> list[str]:
    return [more[0], run.name, "--runs", str(run.path.parent), *more[1:]]


def test_each_prompt_begins_a_conversation_of_its_own(job, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    job(ECHO)
    assert cli.main(words(run, "chat", "--prompt", "one", "--prompt", "two", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["exchanges"] == [
        {"prompt": "one", "base": "base 1 one", "tuned": "tuned 1 one"},
        {"prompt": "two", "base": "base 1 two", "tuned": "tuned 1 two"},
    ]


def test_both_answers_stand_side_by_side(job, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    job(ECHO)
    assert cli.main(words(run, "chat", "--prompt", "hello")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "> hello"
    assert lines[1].split() == ["base", "|", "tuned"]
    assert "base 1 hello" in lines[3] and "| tuned 1 hello" in lines[3]


def test_lines_on_stdin_are_prompts(
    job, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job(ECHO)
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n\ntwo\n"))
    assert cli.main(words(run, "chat", "--which", "tuned")) == 0
    out = capsys.readouterr().out
    assert "tuned 1 one" in out and "tuned 1 two" in out and "base:" not in out


def test_nothing_to_ask_is_said(
    job, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert cli.main(words(run, "chat")) == 2
    assert "nothing to ask" in capsys.readouterr().err


def test_the_settings_reach_the_model(job, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    job("""
    say(ready={})
    request = json.loads(sys.stdin.readline())
    say(reply={"tuned": json.dumps({key: request[key] for key in ("temperature", "top_p", "max_tokens", "seed")})})
    sys.stdin.read()
    """)
    options = ["--temperature", "0.5", "--top-p", "0.9", "--max-tokens", "7", "--seed", "3", "--which", "tuned"]
    assert cli.main(words(run, "chat", "--prompt", "x", "--json", *options)) == 0
    answer = json.loads(capsys.readouterr().out)["exchanges"][0]["tuned"]
    assert json.loads(answer) == {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "seed": 3}


def test_each_side_sees_its_own_answers(job, run: Run) -> None:
    job("""
    say(ready={})
    for line in sys.stdin:
        request = json.loads(line)
        texts = {side: " ".join(turn["content"] for turn in request[key])
                 for side, key in (("base", "base_turns"), ("tuned", "turns"))}
        say(reply={side: f"({side}: {text})" for side, text in texts.items()})
    """)
    with jobs.Job("chat", {"run": str(run.path)}) as child:
        conversation = Conversation(child)
        conversation.wait_until_ready()
        conversation.ask("a")
        assert conversation.ask("b") == {"base": "(base: a (base: a) b)", "tuned": "(tuned: a (tuned: a) b)"}


def test_talking_goes_on_after_a_message_that_is_refused(
    job, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job(ECHO)
    typed = iter(["too long", "one", "more", "/new", "two", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})())
    assert cli.main(words(run, "chat", "--which", "tuned")) == 0
    caught = capsys.readouterr()
    assert "too long" in caught.err
    assert caught.out.split() == ["tuned", "1", "tuned", "3", "tuned", "1"]  # the last is after /new


def test_control_characters_of_a_model_do_not_reach_the_terminal(
    job, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    job("""
    say(ready={})
    sys.stdin.readline()
    say(reply={"base": "\\x1b[2Jgone", "tuned": "\\x9b31m"})
    sys.stdin.read()
    """)
    assert cli.main(words(run, "chat", "--prompt", "x")) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x9b" not in out and "gone" in out


def test_evaluation_shows_base_and_tuned(job, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    share = {"value": 0.925, "hits": 37, "count": 40}
    sides = {"base": {"loss": 3.5, "exact_match": {"value": 0.0, "hits": 0, "count": 40}},
             "tuned": {"loss": 0.25, "exact_match": share}}  # fmt: skip
    job(f"say(result={{'rows': 40, 'sides': {sides!r}, 'asked': first}})")
    assert cli.main(words(run, "eval", "--rows", "5")) == 0
    out = capsys.readouterr().out
    assert "On 40 rows" in out and "92.5% (37 of 40)" in out and "0.0% (0 of 40)" in out
    assert cli.main(words(run, "eval", "--rows", "5", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["asked"] == {"run": str(run.path), "rows": 5}


def test_comparison_leaves_out_what_was_not_measured() -> None:
    lines = comparison({"rows": 3, "sides": {"base": {"loss": 1.0}, "tuned": {"loss": 0.5}}})
    assert [line.split() for line in lines[1:]] == [["base", "tuned"], ["loss", "1", "0.5"]]


def test_export_passes_the_request_on_and_says_what_is_next(
    job, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    job("""
    say(progress={"phase": "merging", "detail": "the adapter"})
    say(result={"out": first.get("out", "default"), "to": first["to"], "commands": [["ollama", "create", "done"]],
                "notes": ["A note."]})
    """)
    assert cli.main(words(run, "export", "--to", "ollama", "--out", str(tmp_path / "x"))) == 0
    caught = capsys.readouterr()
    assert str(tmp_path / "x") in caught.out and "ollama create done" in caught.out and "A note." in caught.out
    assert "merging: the adapter" in caught.err
    assert cli.main(words(run, "export", "--to", "merged", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["out"] == "default"


@pytest.mark.parametrize("width, expected", [
    (60, ["base                         | tuned",
          "---------------------------- | ----------------------------",
          "one                          | two words",
          "                             | and more"]),
    (40, ["base:", "  one", "tuned:", "  two words", "  and more"]),
])  # fmt: skip
def test_columns_and_their_narrow_form(width: int, expected: list[str]) -> None:
    lines = side_by_side({"base": "one", "tuned": "two words\nand more"}, width)
    assert lines == expected


def test_columns_keep_within_the_width_and_show_an_empty_answer() -> None:
    lines = side_by_side({"base": "", "tuned": "word " * 60}, 80)
    assert max(map(len, lines)) <= 80
    assert "(nothing)" in lines[2]


@pytest.mark.parametrize("verb", ["chat", "eval", "export", "train", "demo"])
def test_missing_training_packages_are_named_with_the_command(
    verb: str, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.machine.packages.missing_training_packages", lambda: ("torch", "trl"))
    places: dict[str, list[str]] = {
        "export": words(run, "export", "--to", "merged"), "demo": ["demo", "--no-input"],
        "train": ["train", "--model", "m", "--data", "d", "--runs", str(run.path.parent)],
    }  # fmt: skip
    before = sorted(run.path.parent.iterdir())
    assert cli.main(places.get(verb, words(run, verb))) == 2
    said: Any = capsys.readouterr().err
    assert "torch, trl" in said and " -m pip install " in said and "tunewright[train]" not in said
    assert sorted(run.path.parent.iterdir()) == before


@pytest.mark.parametrize("words_, said", [
    (["eval", "--checkpoint", "step-00000009"], "It has: step-00000002."),
    (["export", "--to", "merged", "--checkpoint", "../x"], "no checkpoint ../x"),
    (["export", "--to", "merged", "--create"], "--create changes nothing in an export to merged"),
    (["export", "--to", "ollama", "--repo", "a/b"], "It goes with --to hub"),
    (["export", "--to", "axolotl", "--system", "x"], "ollama or gguf"),
])  # fmt: skip
def test_what_would_be_passed_over_is_said(
    job, run: Run, capsys: pytest.CaptureFixture[str], words_: list[str], said: str
) -> None:
    job("say(result={})")
    (run.checkpoints_dir / "step-00000002").mkdir()
    assert cli.main(words(run, *words_)) == 2
    assert said in capsys.readouterr().err


def test_a_recipe_for_another_program_says_how_its_rows_are_read(
    job, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    job("""say(result={"format": "messages", "map": {"messages": "messages"}})""")
    assert cli.main(words(run, "export", "--to", "axolotl", "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert "data.format" not in document["left"] and "data.map" not in document["left"]
    assert "type: chat_template" in (Path(document["out"]) / "axolotl.yaml").read_text()
    job("""say(error={"what": "There is no file.", "exit_code": 2})""")
    assert cli.main(words(run, "export", "--to", "axolotl", "--json")) == 0
    assert "nobody said" in json.loads(capsys.readouterr().out)["left"]["data.format"]
    (run.path / "a file").write_text("")
    assert cli.main(words(run, "export", "--to", "axolotl", "--out", str(run.path / "a file" / "x"))) == 1
    assert "The recipe cannot be written: Not a directory." in capsys.readouterr().err
