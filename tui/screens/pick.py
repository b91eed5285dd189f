"""A list over the page from which one thing is taken."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from tui.steps.option import Option
from tui.widgets.choice import ChoiceList


class PickScreen(ModalScreen[str | None]):
    """Answers the value that was taken; None for Esc."""

    CSS = """
    PickScreen { align: center middle; background: $background 60%; }
    #pick { width: 90%; max-width: 90; height: auto; max-height: 90%; padding: 0 1; background: $surface;
            border: round $primary; }
    #pick Static { height: auto; }
    #pick ChoiceList { height: auto; max-height: 16; border: none; background: $surface; }
    #pick .option-list--option { padding: 0 1 0 2; }
    """
    AUTO_FOCUS = "#picked"
    BINDINGS = [Binding("escape,q", "dismiss(None)", "Leave it", id="pick.leave")]

    def __init__(self, title: str, options: Sequence[Option], highlight: str = "") -> None:
        super().__init__()
        self._title, self._options, self._highlight = title, list(options), highlight

    def compose(self) -> ComposeResult:
        with Vertical(id="pick"):
            yield Static(self._title, markup=False)
            yield ChoiceList(id="picked")
            yield Static("Enter takes it, Esc leaves.", markup=False)

    def on_mount(self) -> None:
        self.query_one(ChoiceList).show(self._options, self._highlight)

    @on(OptionList.OptionSelected)
    def _taken(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option.id)
