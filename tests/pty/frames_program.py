"""The wizard over made-up findings, with Ctrl+E for painting everything anew."""

from __future__ import annotations

import sys
from pathlib import Path

from textual.binding import Binding

from tests.tui import wizard_fakes as fakes
from tui.app import TunewrightApp
from tui.screens import lookups


class Program(TunewrightApp):
    """The real app and one more key."""

    CSS_PATH = str(Path(sys.modules["tui.app"].__file__ or "").with_name("app.tcss"))
    BINDINGS = [Binding("ctrl+e", "again", priority=True)]

    def action_again(self) -> None:
        self.draw_again()


if __name__ == "__main__":
    lookups.LOOKERS = fakes.lookers()
    Program(start="wizard", answers=fakes.answers()).run()
