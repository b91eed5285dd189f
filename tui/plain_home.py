"""The home page on plain lines: the runs with their state, and the ways to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UserError
from tui.answers import Answers
from tui.places import answers_path

if TYPE_CHECKING:
    from engine.runs.store import Run
    from tui.plain_console import Console
    from tui.screens.run_list import RunLine

MOST_RUNS = 10


class WentOn(Exception):
    """A lost run was taken up instead of a new one begun; its engine works."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.name)
        self.run = run


def choose_answers(console: Console) -> Answers:
    """Show the runs, then ask how to begin. Raises WentOn when a lost run goes on instead, and what `console.ask`
    raises when the person leaves."""
    lost = _show_runs(console)
    unfinished = _unfinished(console)
    choices = [f"Go on with {line.name}" for line in lost]
    choices += ["Continue where you left off"] if unfinished.started else []
    choices += ["New fine-tune", "The demo: everything in about a minute, with a tiny model"]
    for number, choice in enumerate(choices, 1):
        console.say(f"  {number}. {choice}")
    while True:
        text = console.ask("What do you want to do? [1] ") or "1"
        if text.isdigit() and 1 <= int(text) <= len(lost):
            _go_on(console, lost[int(text) - 1].run)
        elif text.isdigit() and 1 <= int(text) <= len(choices):
            return _answers(choices[int(text) - 1], unfinished)
        else:
            console.say(f"! Type a number from 1 to {len(choices)}, or q to leave.")


def _go_on(console: Console, run: Run) -> None:
    """Raises WentOn, or says why the run does not go on."""
    from engine.runs.resume import resume_run

    try:
        resume_run(run)
    except UserError as error:
        console.say(f"! {error.what}", f"  {error.fix}")
        return
    raise WentOn(run)


def _answers(choice: str, unfinished: Answers) -> Answers:
    if choice.startswith("Continue"):
        return unfinished
    if choice.startswith("New"):
        return Answers(answers_path())
    from tui.screens.demo import demo_answers

    return demo_answers()


def _unfinished(console: Console) -> Answers:
    try:
        return Answers.load(answers_path())
    except UserError as error:
        console.say(f"! {error.what}", f"  {error.fix}")
        return Answers(answers_path())


def _show_runs(console: Console) -> list[RunLine]:
    """Say the runs; returns those that were lost."""
    from tui.screens.run_list import WORDS, read_lines

    lines = read_lines()[:MOST_RUNS]
    if not lines:
        console.say("Welcome. Tunewright teaches a language model from your examples.")
        return []
    console.say("Your runs:")
    for line in lines:
        console.say(f"  {line.name}: {WORDS.get(line.state, line.state)}, {line.detail}")
    console.say("Watch one with: tunewright attach NAME --plain. Talk with one: tunewright chat NAME.")
    return [line for line in lines if line.lost]
