"""The app: which screen opens, how it leaves, and what guards it. The screens do everything else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from textual.app import SystemCommand
from textual.binding import Binding
from textual.filter import LineFilter
from textual.screen import Screen

from tui.frames import ThriftyApp
from tui.theme import FEW_COLOURS, THEME
from tui.watchdog import watch_terminal
from tui.widgets.scroll_bars import draw_in_whole_cells

if TYPE_CHECKING:
    from engine.runs.store import Run
    from tui.answers import Answers

gc.disable()  # importing and the first painting make no garbage worth collecting; on again when the app is ready


class TunewrightApp(ThriftyApp):
    """`start` says which screen opens: "home", "wizard" (with `answers`), or "attach" (with `run`).

    It returns a sentence for the terminal, such as how to come back to a run that goes on.
    """

    TITLE = "Tunewright"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (140, "-huge")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]
    COMMAND_PALETTE_DISPLAY = "Ctrl+P"
    BINDINGS = [
        Binding("ctrl+q", "leave", "Leave", tooltip="Leave the program. Answers are saved, runs go on.",
                id="app.leave", priority=True),
        Binding("ctrl+p,f2", "command_palette", "All actions", tooltip="Every action by its name.", show=False,
                id="app.actions"),
        Binding("ctrl+c", "copy_or_leave", "Leave", show=False, id="app.interrupt"),
        Binding("ctrl+z", "to_the_shell", "To the shell", tooltip="Stop this program for a while; `fg` comes back.",
                show=False, id="app.suspend"),
    ]  # fmt: skip

    def __init__(self, start: Literal["home", "wizard", "attach"] = "home", answers: Answers | None = None,
                 run: Run | None = None) -> None:  # fmt: skip
        no_colour = "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if no_colour else None)  # else Textual 8.2.8 paints black on black
        self.start_with, self.answers, self.run_to_show = start, answers, run
        self.register_theme(THEME)
        self._draw_in_ascii(os.environ.get("TUNEWRIGHT_GLYPHS") == "ascii")
        self.theme = "ansi-dark" if no_colour or self.console.color_system in FEW_COLOURS else THEME.name

    def _draw_in_ascii(self, wanted: bool) -> None:
        self.set_class(wanted, "-ascii")
        draw_in_whole_cells(wanted)

    def on_mount(self) -> None:
        self._leave_on_signals()
        watch_terminal()
        self.set_keymap(_own_keys())
        self.push_screen(self._first_screen())

    def on_ready(self) -> None:
        gc.enable()

    def _first_screen(self) -> Screen[None]:
        if self.start_with == "attach" and self.run_to_show is not None:
            return self._training(self.run_to_show)
        if self.start_with == "wizard":
            from tui.screens.wizard import WizardScreen

            return WizardScreen(self.answers)
        from tui.screens.home import HomeScreen

        return HomeScreen()

    def _training(self, run: Run) -> Screen[None]:
        from tui.screens.training import TrainingScreen

        return TrainingScreen(run)

    def open_wizard(self, answers: Answers | None = None) -> None:
        """Show the wizard; without answers it begins anew."""
        from tui.screens.wizard import WizardScreen

        self.push_screen(WizardScreen(answers))

    def open_training(self, run: Run) -> None:
        """Show a run. It takes the place of the wizard that started it."""
        from tui.screens.wizard import WizardScreen

        show = self.switch_screen if isinstance(self.screen, WizardScreen) else self.push_screen
        show(self._training(run))

    def open_playground(self, run: Run) -> None:
        """Talk with the result of a run."""
        from tui.screens.playground import PlaygroundScreen

        self.push_screen(PlaygroundScreen(run))

    def open_export(self, run: Run) -> None:
        """Hand the result of a run on."""
        from tui.screens.export import ExportScreen

        self.push_screen(ExportScreen(run))

    def open_evaluation(self, run: Run) -> None:
        """What the result of a run is worth on held-out rows."""
        from tui.screens.evaluation import EvaluationScreen

        self.push_screen(EvaluationScreen(run))

    def open_adapters(self) -> None:
        """The adapters of all runs."""
        from tui.screens.adapters import AdaptersScreen

        self.push_screen(AdaptersScreen())

    def open_home(self) -> None:
        """Show the home page, whatever is open."""
        from tui.screens.home import HomeScreen

        while len(self.screen_stack) > 2:
            self.pop_screen()
        if not isinstance(self.screen, HomeScreen):
            self.switch_screen(HomeScreen())

    def action_leave(self) -> None:
        """Keep what was typed, then leave."""
        self._keep_answers()
        self.exit()

    def action_copy_or_leave(self) -> None:
        """Ctrl+C copies selected text; without any it says how to leave."""
        if not self.screen.get_selected_text():
            self.notify("Press Ctrl+Q to leave. Your answers are saved, and runs go on.", markup=False)
        else:
            self.screen.action_copy_text()

    def action_to_the_shell(self) -> None:
        """Stop as any program does at Ctrl+Z, with its answers kept. Where no shell waits nobody could wake it."""
        if os.getpgrp() == os.getsid(0):
            self.notify("There is no shell to go to: Tunewright was started without one.", markup=False)
            return
        self._keep_answers()
        self.action_suspend_process()

    def _keep_answers(self) -> None:
        for screen in self.screen_stack:
            keep = getattr(screen, "keep", None)
            if callable(keep):
                with contextlib.suppress(OSError):  # a full disk must not keep anybody from leaving
                    keep()

    def _leave_on_signals(self) -> None:
        """Textual 8.2.8 handles neither signal: it would leave the terminal in mouse mode or spin without one."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError):  # not in the main thread, as in tests
                loop.add_signal_handler(number, self.action_leave)

    def _fatal_error(self) -> None:
        """In place of Textual's traceback with every local value: a sentence, and a log that holds the traceback."""
        from rich.text import Text

        from tui.screens.mishap import unexpected

        self._keep_answers()
        error = sys.exc_info()[1] or self._exception or RuntimeError("unknown")
        self._exit_renderables.append(Text(str(unexpected(error, "The screen"))))
        self._close_messages_no_wait()

    def get_line_filters(self) -> list[LineFilter]:
        from tui.line_filter import SafeFilter

        return [*super().get_line_filters(), SafeFilter()]

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        from tui.screens.commands import commands

        yield from commands(self, screen)


def _own_keys() -> dict[str, str]:
    from tui.screens.commands import own_keys

    return own_keys()
