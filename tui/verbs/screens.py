"""Opening the app, or the plain questions where there is no screen for it. Textual is imported only here."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from tui.verbs.terminal import can_paint, prepare_textual

if TYPE_CHECKING:
    from engine.runs.store import Run
    from tui.answers import Answers
    from tui.app import TunewrightApp


def open_home(mouse: bool = True) -> int:
    """The app's first page."""
    return _show(mouse, start="home")


def open_wizard(answers: Answers, mouse: bool = True) -> int:
    """The wizard with these answers given; plain questions where no screen can be painted."""
    if can_paint():
        return _show(mouse, start="wizard", answers=answers)
    return ask_plainly(answers)


def open_training(run: Run, mouse: bool = True) -> int:
    """The screen of a run."""
    return _show(mouse, start="attach", run=run)


def ask_plainly(answers: Answers | None = None) -> int:
    """The wizard's questions as numbered prompts."""
    from tui.plain import run_plain

    return run_plain(answers)


def _show(mouse: bool, **opening: Any) -> int:
    app = _make(**opening)
    parting = app.run(mouse=mouse)
    if parting:
        from tui.verbs.output import say

        say(parting)
    return app.return_code or 0


def _make(**opening: Any) -> TunewrightApp:
    """The app. What Textual reads from the environment when it is imported has to be there before."""
    prepare_textual()
    gc.disable()  # importing makes many objects and no rubbish; the app switches it on again when it is ready
    from tui.app import TunewrightApp

    return TunewrightApp(**opening)
