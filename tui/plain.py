"""The wizard as numbered questions on plain lines: for screen readers, TERM=dumb, and terminals without a screen.

Each question shows its choices with numbers. Enter takes the suggestion; `b` goes back, `?` explains, `q` saves and
leaves. The steps are the same objects as in the app, so both ask the same and store the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UserError
from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.plain_console import Back, Console, Leave
from tui.plain_facts import known_lines
from tui.plain_lookups import find_out
from tui.steps import flow, review
from tui.steps.base import Question, Step
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem

DONE, INTERRUPTED = 0, 130
SAVED = "Your answers are saved. Continue with: tunewright --plain"
MANY = 9
"""Longer lists are cut to this many choices until "more" is typed: a screen reader reads every line."""
HINT = "Enter takes the suggestion, b goes back, ? explains, q saves and leaves."


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
            find_out(self.answers, self.facts, self.console)
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
            text = self.console.choose(f"{question.text} [{named}] " if named else "> ", options)
            if text == "?":
                self.console.say("", step.help, "")
                continue
            if text == "more":
                self._show(question, options)
                continue
            if text in KEYS and step.name == "settings":
                text = self._ask_value(text)
            if not self._take(step, question, text or suggestion):
                continue
            if step.name != "settings" or text in ("", suggestion):
                return
            self.console.say("Changed. Enter goes on.")

    def _take(self, step: Step, question: Question, text: str) -> bool:
        """Store an answer and mark what hangs on it; False, with the reason said, when it is not understood."""
        before = {key: self.answers.text(key) for key in step.keys}
        try:
            question.apply(self.answers, self.facts, text)
        except UserError as error:
            self.console.say_problem(Problem.of(error))
            return False
        if before != {key: self.answers.text(key) for key in step.keys}:
            flow.changed(self.answers, step.name)
        return True

    def _ask_how_to_read(self) -> None:
        """Ask for the format, and for the columns, when the rows do not tell."""
        from tui.steps import data, data_words, mapping

        find_out(self.answers, self.facts, self.console)
        result = self.facts.data.value
        if result is None or result.get("format"):
            return
        self.console.say("The rows are in no format that is recognised. How are they to be read?")
        formats = data.format_options(self.answers, self.facts)[1:]
        name = self.console.pick("Format? ", formats)
        columns = [str(column) for column in result.get("columns", ())]
        roles: dict[str, str] = {}
        for role in mapping.roles_to_ask(name, columns):
            question = mapping.role_question(role, columns, roles)
            roles[role] = self.console.pick(f"{question.text} ", mapping.role_options(columns, roles))
        mapping.store(self.answers, name, roles)
        find_out(self.answers, self.facts, self.console)
        self.console.say(*data_words.facts_lines(self.facts))

    def _ask_value(self, key: str) -> str:
        """`key=value` for a setting that was chosen by its number; an empty value takes the recommended one."""
        from tui.steps.settings import explain

        title = KEYS[key].title
        while True:
            value = self.console.ask(f"New value of {title}, empty for the recommended one, ? explains: ")
            if value != "?":
                return f"{key}={value}"
            self.console.say("", explain(KEYS[key]), "")

    def _show(self, question: Question, options: Sequence[Option]) -> None:
        self.console.show(options)
        if question.free:
            self.console.say(f"  or type: {question.free}")

    def _review(self, step: Step) -> str | None:
        question = step.questions[0]
        for _, problem in review.blocking(self.answers, self.facts):
            self.console.say_problem(problem)
        self.console.say("The same without questions:", review.command(self.answers, self.facts))
        options = list(question.options(self.answers, self.facts))
        self._show(question, options)
        choice = self.console.choose("What next? [1 starts the run] ", options) or review.START
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
            self.console.say_problem(Problem.of(error))
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
        find_out(self.answers, self.facts, self.console)
        for problem in step.validate(self.answers, self.facts):
            self.console.say_problem(problem)


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
