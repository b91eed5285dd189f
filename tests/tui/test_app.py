"""The app: which screen opens, how it leaves, what stands between it and the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.app import ComposeResult
from textual.command import CommandPalette
from textual.screen import Screen
from textual.widgets import Static

from tests.conftest import PROJECT
from tests.tui import wizard_fakes as fakes
from tests.tui.test_wizard import press, settle, text_of
from tui import app as app_module
from tui.answers import Answers
from tui.app import TunewrightApp
from tui.screens import lookups
from tui.screens.commands import commands, help_lines, keys_path, own_keys, write_key_file
from tui.screens.home import HomeScreen
from tui.screens.wizard import WizardScreen


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKERS", fakes.lookers())


async def test_it_opens_the_home_page_or_the_wizard() -> None:
    for app, kind in ((TunewrightApp(), HomeScreen), (TunewrightApp("wizard", fakes.answers()), WizardScreen)):
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            assert isinstance(app.screen, kind)


async def test_leaving_saves_the_answers(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.json")
    app = TunewrightApp("wizard", answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "ctrl+q")
    assert "machine" in Answers.load(tmp_path / "answers.json").done


async def test_a_full_disk_keeps_nobody_from_leaving(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(path: Path, data: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.runs.files.write_atomic", full)
    app = TunewrightApp("wizard", Answers(tmp_path / "answers.json"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "ctrl+q")
    assert app.return_code == 0


async def test_ctrl_c_does_not_end_the_program() -> None:
    app = TunewrightApp("wizard", fakes.answers())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await press(pilot, "ctrl+c")
        assert app.is_running
        assert "Ctrl+Q" in text_of(app)


async def test_every_shown_action_is_in_the_palette_with_its_key() -> None:
    app = TunewrightApp("wizard", fakes.answers())
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        found = {command.title: command for command in commands(app, app.screen)}
        for title in ("Back", "Explain", "Memory", "Leave", "Go to Data", "Home"):
            assert title in found
        assert "Esc" in found["Back"].help
        found["Go to Data"].callback()
        await settle(pilot)
        assert isinstance(app.screen, WizardScreen)
        assert app.screen.answers.at == "data"


@pytest.mark.parametrize("key", ["ctrl+p", "f2"])
async def test_the_palette_opens_by_either_key_and_runs_an_action(key: str) -> None:
    app = TunewrightApp("wizard", fakes.answers())
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, key)
        assert isinstance(app.screen, CommandPalette)
        await press(pilot, *"go to review")
        await pilot.pause(0.3)
        await press(pilot, "enter")
        if isinstance(app.screen, CommandPalette):
            await press(pilot, "enter")
        assert isinstance(app.screen, WizardScreen)
        assert app.screen.answers.at == "review"


def test_the_key_file_is_a_template_that_can_be_read_back() -> None:
    class Fake:
        active_bindings = {"x": type("Active", (), {"binding": WizardScreen.BINDINGS[0]})()}

    path = write_key_file(Fake())  # type: ignore[arg-type]
    text = path.read_text(encoding="utf-8")
    assert '# "wizard.back" = "escape"' in text
    assert own_keys() == {}
    path.write_text(text.replace('# "wizard.back" = "escape"', '"wizard.back" = "f8"'), encoding="utf-8")
    assert own_keys() == {"wizard.back": "f8"}
    write_key_file(Fake())  # type: ignore[arg-type]
    assert path.read_text(encoding="utf-8").count("wizard.back") == 1


async def test_the_help_lists_every_key_that_is_shown() -> None:
    app = TunewrightApp("wizard", fakes.answers())
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        text = "\n".join(f"{keys}: {what}" for keys, what in help_lines(app.screen))
        assert "Esc: Go back." in text
        assert "? or F1: Explain" in text


async def test_a_binding_can_be_given_another_key() -> None:
    keys_path().parent.mkdir(parents=True)
    keys_path().write_text('"wizard.explain" = "f9"\n', encoding="utf-8")
    assert own_keys() == {"wizard.explain": "f9"}
    app = TunewrightApp("wizard", fakes.answers())
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "F9" in text_of(app)
        await press(pilot, "f9")
        assert not isinstance(app.screen, WizardScreen)


@pytest.mark.parametrize("text", ["", "[", "a = 1", '"wizard.back" = ["x"]'])
def test_a_broken_key_file_is_no_key_file(text: str) -> None:
    keys_path().parent.mkdir(parents=True)
    keys_path().write_text(text, encoding="utf-8")
    assert own_keys() == {}


def test_every_binding_has_an_id_that_is_its_own_and_a_description() -> None:
    from tui.screens.confirm import ConfirmScreen
    from tui.screens.explain import ExplainScreen
    from tui.screens.pages.settings import SettingsPage

    seen: set[str] = set()
    for owner in (TunewrightApp, WizardScreen, HomeScreen, ConfirmScreen, ExplainScreen, SettingsPage):
        for binding in owner.BINDINGS:
            assert not isinstance(binding, tuple)
            assert binding.id and binding.description
            assert binding.id not in seen
            seen.add(binding.id)


class Hostile(Screen[None]):
    """Paints what must never reach a terminal."""

    def compose(self) -> ComposeResult:
        yield Static("a\x1b]52;c;aGk=\x07b\x9bc\u202ed", markup=False)


async def test_the_last_filter_lets_no_control_character_through() -> None:
    app = TunewrightApp("wizard", fakes.answers())
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(Hostile())
        await pilot.pause()
        shown = text_of(app)
        assert not any(sign in shown for sign in ("\x1b", "\x07", "\x9b", "\u202e"))


async def test_a_crash_leaves_a_sentence_and_a_log_and_keeps_the_answers(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.json")
    answers.put("goal", "chat")
    app = TunewrightApp("wizard", answers)
    with pytest.raises(ZeroDivisionError):
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)

            def fail() -> None:
                raise ZeroDivisionError("by the test")

            app.call_later(fail)
            await pilot.pause()
    assert Answers.load(tmp_path / "answers.json").text("goal") == "chat"


@pytest.mark.parametrize(
    ("environment", "theme"),
    [({"NO_COLOR": "1"}, "ansi-dark"), ({"TERM": "linux", "COLORTERM": ""}, "ansi-dark"),
     ({"TERM": "xterm-256color", "COLORTERM": ""}, "tunewright"), ({"COLORTERM": "truecolor"}, "tunewright")],
)  # fmt: skip
def test_few_colours_take_the_persons_own(environment: dict[str, str], theme: str,
                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    app = TunewrightApp()
    assert app.theme == theme
    assert not any(type(line_filter).__name__ == "Monochrome" for line_filter in app.get_line_filters())


def test_the_screens_import_no_heavy_library() -> None:
    code = (
        "import sys, tui.app, tui.screens.wizard, tui.screens.home, tui.screens.pages.machine;"
        "heavy = ('torch', 'transformers', 'numpy', 'psutil', 'pynvml', 'huggingface_hub', 'tokenizers', 'jinja2');"
        "bad = [n for n in heavy if n in sys.modules]; print(bad); sys.exit(bool(bad))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_app_is_small() -> None:
    assert len((PROJECT / "tui" / "app.py").read_text(encoding="utf-8").splitlines()) < 200


def test_colours_are_among_the_256() -> None:
    steps = (0, 95, 135, 175, 215, 255)
    theme: Any = app_module.THEME
    for name in ("primary", "secondary", "accent", "success", "warning", "error", "foreground", "background"):
        red, green, blue = (int(getattr(theme, name)[at : at + 2], 16) for at in (1, 3, 5))
        grey = red == green == blue and (red - 8) % 10 == 0
        assert grey or all(part in steps for part in (red, green, blue)), name
