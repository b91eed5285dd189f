"""The command line itself: help, usage errors, guards, and what happens when a verb fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from argparse import Namespace
from pathlib import Path

import pytest

from engine.errors import UserError
from tests.conftest import PROJECT
from tui import cli
from tui.verbs import guard, terminal
from tui.verbs.flags import GOALS, METHODS
from tui.verbs.table import EXIT_CODES, VERBS


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without a terminal."""
    return subprocess.run([sys.executable, "-m", "tui", *words], capture_output=True, text=True, cwd=PROJECT,
                          stdin=subprocess.DEVNULL, timeout=60, **options)  # fmt: skip


def test_help_names_every_verb_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"    {verb.name} " in text for verb in VERBS)
    assert EXIT_CODES.split(",")[0] in text


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_verb_has_help_with_an_example_that_parses(verb, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb.name, "--help"]) == 0
    assert verb.example in capsys.readouterr().out
    import shlex

    arguments = cli.build_parser().parse_args(shlex.split(verb.example)[1:])
    assert arguments.verb is verb


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.name not in {"attach", "demo"}], ids=lambda v: v.name)
def test_every_verb_that_answers_has_json(verb, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([verb.name, "--help"])
    assert "--json" in capsys.readouterr().out


def test_every_verb_leads_to_a_function() -> None:
    assert all(callable(cli.load(verb.run)) for verb in (*VERBS, cli.HOME))


def test_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"tunewright {project['version']}"


def test_the_words_of_the_flags_are_those_of_the_engine_and_the_wizard() -> None:
    from engine import recipe_keys
    from tui.steps import goal

    assert METHODS == recipe_keys.METHODS
    assert set(GOALS) == {option.value for option in goal.GOALS}


def test_help_of_new_lists_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    from engine.recipe_keys import KEYS

    cli.main(["new", "--help"])
    text = capsys.readouterr().out
    assert all(f"  {key} " in text for key in KEYS)


@pytest.mark.parametrize("words, hint", [
    (["trian"], "Did you mean train?"),
    (["train", "--modle", "x"], "tunewright train: unrecognized arguments: --modle. Did you mean --model?"),
    (["ls"], "Did you mean runs?"),
    (["stop", "a", "b"], "`tunewright stop --help` shows"),
    (["plan", "--model", "m", "--ram", "nan"], "'nan' is not a number, 0 or more"),
    (["hardware", "--vram", "-4"], "--vram"),
    (["data", "rows.csv", "--rows", "-1"], "'-1' is not a whole number, 0 or more"),
    (["stop", "a", "--wait", "inf"], "--wait"),
    (["eval", "a", "--rows", "0"], "'0' is not a whole number above 0"),
    (["runs", "--js"], "Did you mean --json?"),  # no guessing of half-written flags
    (["plan", "--model", "m", "--vram", "many"], "--vram"),
    (["export", "x"], "--to"),
    (["train", "recipe.toml", "--follow", "--json"], "not allowed"),
])  # fmt: skip
def test_usage_errors_end_with_2(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    caught = capsys.readouterr()
    assert hint in caught.err
    assert caught.out == ""


def test_without_terminal_and_verb_there_is_a_short_help_and_2() -> None:
    ended = run()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no terminal" in ended.stderr and "--no-input" in ended.stderr


def arguments(**values: object) -> Namespace:
    return Namespace(**{"json": False, "verb": VERBS[0], **values})


def test_a_user_error_becomes_lines_and_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Namespace) -> int:
        raise UserError("The row is broken.", "rows.jsonl:3\x1b[2J", "Mend it.", exit_code=2)

    assert guard.guarded(fail, arguments()) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert "The row is broken.\n  where: rows.jsonl:3" in caught.err and "mend:  Mend it." in caught.err
    assert "\x1b" not in caught.err


def test_a_user_error_is_one_document_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Namespace) -> int:
        raise UserError("No.", "here", "Mend it.", exit_code=1)

    assert guard.guarded(fail, arguments(json=True)) == 1
    document = json.loads(capsys.readouterr().out)
    assert document == {"error": {"what": "No.", "where": "here", "fix": "Mend it.", "exit_code": 1}}


def test_an_unexpected_error_is_a_sentence_and_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Namespace) -> int:
        raise ZeroDivisionError("secret detail")

    assert guard.guarded(fail, arguments()) == 1
    caught = capsys.readouterr()
    assert "Traceback" not in caught.err and "secret detail" not in caught.err
    path = Path(next(line.split("where: ")[1] for line in caught.err.splitlines() if "where: " in line))
    assert "secret detail" in path.read_text() and "Traceback" in path.read_text()


def test_an_unexpected_error_without_room_for_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def fail(_: Namespace) -> int:
        raise ZeroDivisionError

    assert guard.guarded(fail, arguments()) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Namespace) -> int:
        raise KeyboardInterrupt

    assert guard.guarded(fail, arguments()) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    line = f"{sys.executable} -m tui new --help | head -1"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=PROJECT, timeout=60)
    assert ended.stderr == ""


@pytest.mark.parametrize("rest, code, said", [
    (">&-", 0, ""), (">&- 2>&- <&-", 0, ""), ("> /dev/full", 1, "The output cannot be written"),
    ("--json > /dev/full", 1, "The output cannot be written"),
])  # fmt: skip
def test_a_closed_or_full_output_is_no_traceback(tmp_path: Path, rest: str, code: int, said: str) -> None:
    line = f"{sys.executable} -m tui runs --runs {tmp_path} {rest}"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=PROJECT, timeout=60)
    assert ended.returncode == code
    assert said in ended.stderr and "Traceback" not in ended.stderr and "did not expect" not in ended.stderr


def test_an_error_keeps_its_code_where_its_document_cannot_be_written(tmp_path: Path) -> None:
    line = f"{sys.executable} -m tui stop nosuch --json --runs {tmp_path} > /dev/full"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=PROJECT, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith("There is no run called nosuch.")


def test_the_table_of_devices_is_in_the_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["hardware", "--table", "--json"]) == 0
    devices = json.loads(capsys.readouterr().out)["devices"]
    assert {"device", "methods", "precisions", "training", "remark"} == set(devices[0]) and len(devices) > 3


def test_letters_that_the_encoding_lacks_do_no_harm() -> None:
    ended = run("hardware", env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert ended.returncode == 0
    ended = run("doctor", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0 and "\\u28c0" in ended.stdout
    assert ended.stdout.count("Unsloth: ") == 1, "every check is said once"


def test_files_that_it_makes_are_private() -> None:
    before = os.umask(0)
    try:
        assert cli.main(["--version"]) == 0
        assert os.umask(0) == 0o077
    finally:
        os.umask(before)


@pytest.mark.parametrize("environment, frames, animations", [
    ({}, "30", None),
    ({"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "12", "none"),
    ({"MOSH_CONNECTION": "x"}, "12", "none"),
    ({"SSH_TTY": "/dev/pts/1", "TEXTUAL_FPS": "5", "TEXTUAL_ANIMATIONS": "full"}, "5", "full"),
])  # fmt: skip
def test_what_textual_finds_in_the_environment(
    environment: dict[str, str], frames: str, animations: str | None
) -> None:
    terminal.prepare_textual(environment)
    assert environment["TEXTUAL_FPS"] == frames
    assert environment.get("TEXTUAL_ANIMATIONS") == animations


class Stream:
    """A standard stream of a given kind."""

    def __init__(self, tty: bool, encoding: str = "utf-8") -> None:
        self.tty, self.encoding, self.changed = tty, encoding, ""

    def isatty(self) -> bool:
        return self.tty

    def reconfigure(self, encoding: str = "", errors: str = "") -> None:
        self.changed = encoding or errors


@pytest.mark.parametrize("stdin, stderr, term, asks, paints", [
    (True, True, "xterm-256color", True, True),
    (True, True, "dumb", True, False),
    (True, True, "", True, False),
    (False, True, "xterm", False, False),
    (True, False, "xterm", False, False),
])  # fmt: skip
def test_which_terminals_can_ask_and_paint(
    stdin: bool, stderr: bool, term: str, asks: bool, paints: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stream(stdin))
    monkeypatch.setattr(sys, "stderr", Stream(stderr))
    assert terminal.can_ask() is asks
    assert terminal.can_paint({"TERM": term}) is paints


@pytest.mark.parametrize("encoding, locale_encoding, glyphs, changed", [
    ("utf-8", "UTF-8", None, ""),
    ("latin-1", "UTF-8", None, "utf-8"),
    ("latin-1", "ISO8859-1", "ascii", "replace"),
    ("ascii", None, "ascii", "replace"),
])  # fmt: skip
def test_an_encoding_without_braille_gets_other_glyphs(
    encoding: str, locale_encoding: str | None, glyphs: str | None, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(True, encoding)
    monkeypatch.setattr(sys, "__stderr__", stream)
    monkeypatch.setattr("locale.getlocale", lambda: ("en_US", locale_encoding))
    environment: dict[str, str] = {}
    terminal.prepare_textual(environment)
    assert environment.get("TUNEWRIGHT_GLYPHS") == glyphs
    assert stream.changed == changed
