"""The settings of the playground as a small page over it: a field for each number, and the system prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.errors import UserError
from tui.screens.playground_settings import SETTINGS, SYSTEM, read_settings
from tui.widgets.field import PlainInput


class SamplingScreen(ModalScreen[dict[str, Any] | None]):
    """Answers the settings, or None when nothing is to change. Enter takes all fields from any of them."""

    CSS = """
    SamplingScreen { align: center middle; background: $background 60%; }
    #sampling { width: 90%; max-width: 84; height: auto; max-height: 100%; padding: 0 2; background: $surface;
                border: round $primary; }
    #sampling Static { height: auto; }
    #sampling PlainInput { height: 1; border: none; padding: 0 1; background: $background; }
    #sampling PlainInput:focus { text-style: reverse; }
    """
    AUTO_FOCUS = "#temperature"
    BINDINGS = [Binding("escape", "dismiss(None)", "Leave it", id="sampling.leave")]

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self._settings = settings

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="sampling", can_focus=False):
            for setting in SETTINGS:
                yield Static(setting.words, markup=False)
                value = self._settings.get(setting.key)
                yield PlainInput("" if value is None else f"{value:g}" if value < 1e6 else str(value), id=setting.key)
            yield Static("System prompt, said before every conversation that has none", markup=False)
            yield PlainInput(str(self._settings.get(SYSTEM, "")), id=SYSTEM)
            yield Static("Tab to the next field, Enter to take them, Esc to leave.", id="advice", markup=False)

    @on(PlainInput.Submitted)
    def _taken(self, event: PlainInput.Submitted) -> None:
        event.stop()
        texts = {str(field.id): field.value for field in self.query(PlainInput)}
        try:
            self.dismiss(read_settings(texts))
        except UserError as error:
            self.query_one("#advice", Static).update(f"{error.what} {error.fix}")
            self.query_one(f"#{error.where}", PlainInput).focus()
