"""What stands around a page of the wizard: the list of steps, what the answers lead to, and what is being looked up."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen

from tui.answers import Answers
from tui.screens.lookups import Lookups
from tui.screens.pages.base import Page
from tui.steps import flow
from tui.steps.consequences import consequences
from tui.widgets.key_line import KeyLine
from tui.widgets.marks import spinner
from tui.widgets.memory_bar import ConsequencesPane
from tui.widgets.plain import Plain
from tui.widgets.step_list import StepLine, StepList

BEAT_SECONDS = 0.25
PAINT_SECONDS = 0.05
"""The page is painted before anything is looked up, so that the first moment belongs to it alone."""


class WizardFrame(Screen[None]):
    """Shows the answers and what is known of them. The wizard itself makes the pages and changes the answers."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers
        if answers.at not in flow.ORDER:
            answers.at = flow.ORDER[0]
        self.lookups = Lookups(self, answers, self.facts_changed)
        self._beat = 0

    def make_page(self) -> Page:
        """The page of the step that the answers are at."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield Plain(self._top_text(), id="top")
        line, steps = StepLine(), StepList()
        states = flow.states(self.answers, self.answers.at)
        line.show(states)
        steps.show(states)
        yield line
        with Horizontal(id="body"):
            yield steps
            yield Container(self.make_page(), id="page")
            with VerticalScroll(id="pane", can_focus=False):
                yield ConsequencesPane()
        yield KeyLine()

    def on_mount(self) -> None:
        self._spin = self.set_interval(BEAT_SECONDS, self._turn_spinner, pause=True)
        self.paint()
        self.set_timer(PAINT_SECONDS, self.look)

    @property
    def page(self) -> Page | None:
        """The page that is open."""
        found = self.query_one("#page", Container).children
        return found[0] if found and isinstance(found[0], Page) else None

    def look(self) -> None:
        """Look up what the answers ask for now."""
        self.lookups.refresh()
        self.facts_changed()

    def facts_changed(self) -> None:
        """Something was found out, or is being looked up."""
        if not self.is_mounted:
            return
        if self.page is not None and self.page.ready:
            self.page.show_facts()
        self.paint()

    def paint(self) -> None:
        """Show the answers as they are now."""
        states = flow.states(self.answers, self.answers.at, self.lookups.facts)
        self.query_one(StepList).show(states)
        self.query_one(StepLine).show(states)
        self.query_one(ConsequencesPane).show(consequences(self.answers, self.lookups.facts))
        self._paint_top()
        if self.lookups.busy:
            self._spin.resume()
        else:
            self._spin.pause()

    def _paint_top(self) -> None:
        self.query_one("#top", Plain).put(self._top_text())

    def _top_text(self) -> Content:
        busy = self.lookups.busy
        right = f"{spinner(self._beat)} {busy[0]}" if busy else "Answers are saved after every step"
        name, page = (" Tunewright  ", "bold $text-accent"), ("New fine-tune   ", "")
        return Content.assemble(name, page, (right, "$text-muted"))

    def _turn_spinner(self) -> None:
        self._beat += 1
        self._paint_top()
