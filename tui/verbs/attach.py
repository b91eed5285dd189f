"""`tunewright attach`: look at a run, on the screen or as lines."""

from __future__ import annotations

from argparse import Namespace

from tui.verbs.places import run_of
from tui.verbs.terminal import can_paint


def run(arguments: Namespace) -> int:
    """Show the run until the person leaves or, as lines, until it ends."""
    found = run_of(arguments)
    if arguments.plain or not can_paint():
        from tui.verbs.follow import follow

        return follow(found)
    from tui.verbs.screens import open_training

    return open_training(found, mouse=not arguments.no_mouse)
