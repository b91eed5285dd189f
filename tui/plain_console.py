"""Questions on plain lines: what is said, how choices are numbered, and what a typed answer means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from tui.steps.option import Option, Problem
from tui.text import clean


class Leave(Exception):
    """The person leaves; answers are saved."""


class Back(Exception):
    """The person goes back one step."""


@dataclass
class Console:
    """Where questions are asked. Lines are cleaned, since they may show text from files."""

    read: Callable[[str], str] = field(default_factory=lambda: input)
    out: TextIO = field(default_factory=lambda: sys.stdout)

    def say(self, *lines: str) -> None:
        """Print lines."""
        for line in lines:
            print(clean(line), file=self.out)

    def say_problem(self, problem: Problem) -> None:
        """Print what is wrong, and how to mend it."""
        where = f" ({problem.where})" if problem.where else ""
        self.say(f"! {problem.what}{where}", *([f"  {problem.fix}"] if problem.fix else []))

    def ask(self, prompt: str) -> str:
        """Read one line. Raises Leave at the end of the input, and for `q`; Back for `b`."""
        self.out.flush()
        try:
            text = self.read(prompt).strip()
        except EOFError:
            raise Leave from None
        if text.lower() in ("q", "quit"):
            raise Leave
        if text.lower() in ("b", "back"):
            raise Back
        return text

    def show(self, options: Sequence[Option]) -> None:
        """Print choices with their numbers."""
        for number, option in enumerate(options, 1):
            notes = [option.mark] if option.mark else []
            notes += ["recommended"] if option.recommended else []
            note = f" ({', '.join(notes)})" if notes else ""
            text = f": {option.consequence}" if option.consequence else ""
            self.say(f"  {number}. {option.title}{note}{text}")

    def choose(self, prompt: str, options: Sequence[Option]) -> str:
        """Read one line; a number becomes the value of the choice that it stands for. Raises as `ask` does."""
        text = self.ask(prompt)
        if text.isdigit() and 1 <= int(text) <= len(options):
            return options[int(text) - 1].value
        return text

    def pick(self, prompt: str, options: Sequence[Option]) -> str:
        """The value of one of the choices, asked for until one is named. Raises as `ask` does."""
        self.show(options)
        while (text := self.choose(prompt, options)) not in {option.value for option in options}:
            self.say(f"! Type a number from 1 to {len(options)}.")
        return text
