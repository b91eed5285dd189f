"""`tunewright` without a verb: the app, or numbered questions, or a short help where nobody can answer."""

from __future__ import annotations

import sys
from argparse import Namespace

from tui.verbs.terminal import can_ask, can_paint

NOBODY_HERE = """\
tunewright: there is no terminal to ask on, and no verb was given.
  tunewright train --model M --data D --no-input   start a run without asking
  tunewright demo --no-input                       see the whole way in about a minute
  tunewright --help                                all verbs"""
USAGE_ERROR = 2


def run(arguments: Namespace) -> int:
    """Open what this terminal can show."""
    if not can_ask():
        print(NOBODY_HERE, file=sys.stderr)
        return USAGE_ERROR
    from tui.verbs.screens import ask_plainly, open_home

    if arguments.plain or not can_paint():
        return ask_plainly()
    return open_home(mouse=not arguments.no_mouse)
