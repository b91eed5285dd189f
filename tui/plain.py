"""The wizard as numbered questions on plain lines: for screen readers, TERM=dumb, and terminals without a screen.

Each question shows its choices with numbers. Enter takes the suggestion; `b` goes back, `?` explains, `q` saves and
leaves. The steps are the same objects as in the app, so both ask the same and store the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeVar

from engine.errors import UserError
from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.plain_facts import known_lines
from tui.steps import facts as look
from tui.steps import flow, review
from tui.steps.base import Question, Step
from tui.steps.facts import Facts, Found
from tui.steps.option import Option, Problem
from tui.text import clean

T = TypeVar("T")
DONE, INTERRUPTED = 0, 130
SAVED = "Your answers are saved. Continue with: tunewright --plain"
MANY = 9
"""Longer lists are cut to this many choices until "more" is typed: a screen reader reads every line."""
HINT = "Enter takes the suggestion, b goes back, ? explains, q saves and leaves."


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


@dataclass
class PlainWizard:
    """The questions one after the other."""

    answers: Answers
    console: Console = field(default_factory=Console)
    facts: Facts = field(default_factory=Facts)

    def run(self) -> int:
        """Ask until the run is started, the recipe is saved, or the person leaves. Returns an exit code."""
        self.console.say("Tunewright. A new fine-tune in seven steps; three answers are enough.", HINT)
        name = self.answers.at if self.answers.at in flow.ORDER else "machine"
        try:
            while True:
                following = self._step(name)
                if following is None:
                    return DONE
                name = following
        except (Leave, KeyboardInterrupt) as end:
            self.answers.save()
            kept = self.answers.path is not None
            self.console.say("", SAVED if kept else "These were the answers of the demo, so nothing was saved.")
            return DONE if isinstance(end, Leave) else INTERRUPTED

    def _step(self, name: str) -> str | None:
        """Ask one step; the name of the next one, None when everything is done."""
        self.answers.at = name
        step = flow.step(name)
        number = flow.ORDER.index(name) + 1
        self.console.say("", f"Step {number} of {len(flow.ORDER)}: {step.title}. {step.question}")
        if name in self.answers.check:
            self.console.say(f"Check this again: {self.answers.check[name]}.")
        try:
            self._look()
            self.console.say(*known_lines(name, self.facts))
            if name == "review":
                return self._review(step)
            for question in step.questions:
                self._ask(step, question)
            if name == "data":
                self._ask_how_to_read()
        except Back:
            return flow.before(name) or name
        self._say_problems(step)
        flow.confirm(self.answers, name)
        self.answers.save()
        return flow.after(name)

    def _ask(self, step: Step, question: Question) -> None:
        """Ask one question until its answer is understood."""
        options = list(question.options(self.answers, self.facts))
        options.sort(key=lambda option: not option.recommended)
        suggestion = question.suggestion(self.answers, self.facts)
        named = next((option.title for option in options if option.value == suggestion), suggestion)
        self._show(question, options[:MANY])
        if len(options) > MANY:
            self.console.say(f"  {len(options) - MANY} others; type more to hear them.")
        while True:
            text = self._choice(self.console.ask(f"{question.text} [{named}] " if named else "> "), options)
            if text == "?":
                self.console.say("", step.help, "")
                continue
            if text == "more":
                self._show(question, options)
                continue
            if text in KEYS and step.name == "settings":
                text = self._ask_value(text)
            before = {key: self.answers.text(key) for key in step.keys}
            try:
                question.apply(self.answers, self.facts, text or suggestion)
            except UserError as error:
                self._say_problem(Problem.of(error))
                continue
            if before != {key: self.answers.text(key) for key in step.keys}:
                flow.changed(self.answers, step.name)
            if step.name != "settings" or text in ("", suggestion):
                return
            self.console.say("Changed. Enter goes on.")

    def _ask_how_to_read(self) -> None:
        """Ask for the format, and for the columns, when the rows do not tell."""
        from tui.steps import data, mapping

        self._look()
        result = self.facts.data.value
        if result is None or result.get("format"):
            return
        self.console.say("The rows are in no format that is recognised. How are they to be read?")
        formats = data.format_options(self.answers, self.facts)[1:]
        name = self._pick(formats, "Format? ")
        columns = [str(column) for column in result.get("columns", ())]
        roles: dict[str, str] = {}
        for role in mapping.roles_to_ask(name, columns):
            question = mapping.role_question(role, columns, roles)
            roles[role] = self._pick(mapping.role_options(columns, roles), f"{question.text} ")
        mapping.store(self.answers, name, roles)
        self._look()
        self.console.say(*data.facts_lines(self.facts))

    def _pick(self, options: list[Option], prompt: str) -> str:
        """One of the options, by number or value."""
        for number, option in enumerate(options, 1):
            self.console.say(f"  {number}. {option.title}" + (f": {option.consequence}" if option.consequence else ""))
        while True:
            text = self._choice(self.console.ask(prompt), options)
            if text in {option.value for option in options}:
                return text
            self.console.say(f"! Type a number from 1 to {len(options)}.")

    def _choice(self, text: str, options: list[Option]) -> str:
        """A number becomes the choice it stands for."""
        if text.isdigit() and 1 <= int(text) <= len(options):
            return options[int(text) - 1].value
        return text

    def _ask_value(self, key: str) -> str:
        """`key=value` for a setting that was chosen by its number; an empty value takes the recommended one."""
        from tui.steps.settings import explain

        title = KEYS[key].title
        while True:
            value = self.console.ask(f"New value of {title}, empty for the recommended one, ? explains: ")
            if value != "?":
                return f"{key}={value}"
            self.console.say("", explain(KEYS[key]), "")

    def _show(self, question: Question, options: Iterable[Option]) -> None:
        for number, option in enumerate(options, 1):
            notes = [option.mark] if option.mark else []
            notes += ["recommended"] if option.recommended else []
            note = f" ({', '.join(notes)})" if notes else ""
            text = f": {option.consequence}" if option.consequence else ""
            self.console.say(f"  {number}. {option.title}{note}{text}")
        if question.free:
            self.console.say(f"  or type: {question.free}")

    def _review(self, step: Step) -> str | None:
        question = step.questions[0]
        for _, problem in review.blocking(self.answers, self.facts):
            self._say_problem(problem)
        self.console.say("The same without questions:", review.command(self.answers, self.facts))
        options = list(question.options(self.answers, self.facts))
        self._show(question, options)
        choice = self._choice(self.console.ask("What next? [1 starts the run] "), options) or review.START
        if choice == "?":
            self.console.say("", step.help, "")
            return "review"
        try:
            question.apply(self.answers, self.facts, choice)
            if choice in (review.START, review.REHEARSE):
                self._start(choice == review.REHEARSE)
                return None
            if choice == review.SAVE:
                self._save()
                return "review"
        except UserError as error:
            self._say_problem(Problem.of(error))
            return "review"
        return choice

    def _save(self) -> None:
        path = review.save(self.answers, self.facts, Path.cwd())
        self.console.say(f"Saved. Start it with: tunewright train {path}")

    def _start(self, rehearse: bool = False) -> None:
        run = review.start(self.answers, self.facts, rehearse)
        self.answers.discard()
        self.console.say(f"The run {run.name} works in the background.", f"Its folder: {run.path}",
                         f"Watch it with: tunewright attach {run.name} --plain")  # fmt: skip

    def _say_problems(self, step: Step) -> None:
        self._look()
        for problem in step.validate(self.answers, self.facts):
            self._say_problem(problem)

    def _say_problem(self, problem: Problem) -> None:
        where = f" ({problem.where})" if problem.where else ""
        self.console.say(f"! {problem.what}{where}", *([f"  {problem.fix}"] if problem.fix else []))

    def _look(self) -> None:
        """Find out what the answers ask for, one thing after the other."""
        facts, answers = self.facts, self.answers
        self._settle(facts.machine, look.machine_question(answers), lambda: look.look_at_machine(answers))
        self._settle(facts.model, look.model_question(answers), lambda: look.look_at_model(answers))
        self._settle(facts.data, look.data_question(answers, facts), self._inspect)
        self._settle(facts.plan, look.plan_question(answers, facts), lambda: look.make_plan(answers, facts))

    def _inspect(self) -> dict[str, Any]:
        from tui.jobs import run_job

        self.console.say("Reading the data.")
        return run_job("data", look.data_request(self.answers, self.facts))

    def _settle(self, found: Found[T], question: object, work: Callable[[], T]) -> None:
        if not found.ask(question):
            return
        try:
            found.settle(question, work())
        except UserError as error:
            found.settle(question, None, error)


def run_plain(answers: Answers | None = None) -> int:
    """Ask on stdin and stdout. Without answers it is asked first whether to begin, to go on or to try the demo."""
    from tui.plain_home import WentOn, choose_answers

    console = Console()
    try:
        chosen = answers if answers is not None else choose_answers(console)
    except (Back, Leave):
        return DONE
    except WentOn as went:
        from tui.verbs.follow import follow

        return follow(went.run, went.run.events_path.stat().st_size)
    except KeyboardInterrupt:
        return INTERRUPTED
    return PlainWizard(chosen, console).run()
