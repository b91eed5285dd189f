"""Combining adapters, as a small page over their list: a weight for each, and the name of what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from engine.errors import UserError
from tui.screens.adapters_text import Adapter, read_name, read_weight
from tui.text import one_line
from tui.widgets.field import PlainInput
from tui.widgets.plain import Plain

ADVICE = "1 adds an adapter in full, 0.5 by half, -1 takes it away. Tab to the next field, Enter combines, Esc leaves."


class CombineScreen(ModalScreen[dict[str, Any] | None]):
    """Answers the request for the job, or None. Enter takes all fields from any of them."""

    CSS = """
    CombineScreen { align: center middle; background: $background 60%; }
    #combine { width: 90%; max-width: 76; height: auto; max-height: 100%; padding: 0 2; background: $surface;
               border: round $primary; }
    #combine Plain { height: auto; }
    #combine PlainInput { height: 1; border: none; padding: 0 1; background: $background; }
    #combine PlainInput:focus { text-style: reverse; }
    """
    AUTO_FOCUS = "#weight-0"
    BINDINGS = [Binding("escape", "dismiss(None)", "Leave it", id="combine.leave")]

    def __init__(self, adapters: Sequence[Adapter], folder: Path) -> None:
        super().__init__()
        self._adapters, self._folder = list(adapters), folder

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="combine", can_focus=False):
            for number, adapter in enumerate(self._adapters):
                yield Plain(f"Weight of {one_line(str(adapter['run']))}")
                yield PlainInput("1", id=f"weight-{number}")
            yield Plain(f"Name; the adapter goes to {one_line(str(self._folder))}")
            yield PlainInput(self._fresh_name(), id="name")
            yield Plain(ADVICE, id="advice")

    def _fresh_name(self) -> str:
        names = ["combined", *(f"combined-{number}" for number in range(2, 100))]
        return next((name for name in names if not (self._folder / name).exists()), "")

    @on(PlainInput.Submitted)
    def _taken(self, event: PlainInput.Submitted) -> None:
        event.stop()
        try:
            self.dismiss(self._request())
        except UserError as error:
            self.query_one("#advice", Plain).put(f"{error.what} {error.fix}")
            self.query_one(f"#{error.where}", PlainInput).focus()

    def _request(self) -> dict[str, Any]:
        weights = {}
        for number, adapter in enumerate(self._adapters):
            place = f"weight-{number}"
            weights[str(adapter["run_directory"])] = read_weight(self.query_one(f"#{place}", PlainInput).value, place)
        out = read_name(self.query_one("#name", PlainInput).value, self._folder, "name")
        return {"combine": weights, "out": str(out)}
