"""The command line: `tunewright VERB ...`, and no verb is the app.

This module is on the way of every start, so it imports only argparse and the table of verbs; what a verb needs is
imported when it runs.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from tui.verbs.table import EXIT_CODES, VERBS, Verb

VERSION = "0.1.0"
SUMMARY = "Fine-tune a language model from a terminal. Without a verb the app opens."
HOME = Verb("", SUMMARY, "tunewright", "tui.verbs.home:run", lambda parser: None)

ELSEWHERE = {"ls": "runs", "list": "runs", "ps": "runs", "status": "runs", "log": "attach", "logs": "attach",
             "watch": "attach", "sweep": "queue --sweep", "merge": "export --to merged", "evaluate": "eval",
             "init": "new", "cancel": "stop", "kill": "stop", "continue": "resume", "setup": "doctor"}  # fmt: skip
"""What other programs call it -> the verb here."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit code. Never raises for bad input, and never shows a traceback."""
    os.umask(0o077)
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = parse(words)
    except SystemExit as ended:  # argparse has said what was wrong, or has printed the help
        return int(ended.code or 0)
    from tui.verbs.guard import guarded

    return guarded(load(arguments.verb.run), arguments)


def parse(words: Sequence[str]) -> Namespace:
    """The flags of one command. Raises SystemExit; an unknown flag is said by the verb that it was given to."""
    arguments, unknown = build_parser().parse_known_args(words)
    if unknown:
        parser: _Parser = arguments.parser
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def build_parser() -> ArgumentParser:
    """The parser of all verbs; `verb` in its result is the one to carry out."""
    parser = _Parser(prog="tunewright", description=SUMMARY, epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"tunewright {VERSION}")
    parser.add_argument("--plain", action="store_true", help="numbered questions instead of the screen")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.set_defaults(verb=HOME, json=False, parser=parser)
    verbs = parser.add_subparsers(metavar="VERB", title="verbs", parser_class=_Parser)
    for verb in VERBS:
        own = verbs.add_parser(
            verb.name, help=verb.summary, description=f"{verb.summary[0].upper()}{verb.summary[1:]}.",
            epilog=f"example:\n  {verb.example}\n\n{EXIT_CODES}", formatter_class=RawDescriptionHelpFormatter,
        )  # fmt: skip
        verb.arguments(own)
        own.set_defaults(verb=verb, parser=own)
    return parser


def load(target: str) -> Callable[..., Any]:
    """The function behind `module:function`."""
    module, function = target.split(":")
    return getattr(import_module(module), function)  # type: ignore[no-any-return]


class _Parser(ArgumentParser):
    """Argparse with three habits changed: no guessing of half-written flags, a hint for a mistyped verb, and a help
    that can be longer than what is imported for every start."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def format_help(self) -> str:
        verb = self.get_default("verb")
        more = f"\n{load(verb.more_help)()}\n" if verb is not None and verb.more_help else ""
        return super().format_help() + more

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {message}. {self._hint(message) or f'`{self.prog} --help` shows what there is.'}\n")

    def _hint(self, message: str) -> str:
        """What was probably meant by a mistyped verb or flag; empty for other errors."""
        import difflib

        typed = message.partition("argument VERB: invalid choice: '")[2].partition("'")[0]
        known: Iterable[str] = [verb.name for verb in VERBS]
        if message.startswith("unrecognized arguments: -"):
            typed = message.split()[2].partition("=")[0]
            known = self._option_string_actions
        near = difflib.get_close_matches(typed, known, n=1)
        meant = ELSEWHERE.get(typed) or "".join(near)
        return f"Did you mean {meant}?" if meant else ""
