"""The wizard: seven pages, the list of steps, and what the answers lead to."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from importlib import import_module

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen

from engine.errors import UserError
from tui.answers import Answers
from tui.places import answers_path
from tui.screens.background import start
from tui.screens.lookups import Lookups
from tui.screens.pages.base import Page
from tui.steps import flow
from tui.steps.consequences import consequences
from tui.steps.option import Problem
from tui.widgets.key_line import KeyLine
from tui.widgets.marks import spinner
from tui.widgets.memory_bar import ConsequencesPane
from tui.widgets.plain import Plain
from tui.widgets.step_list import StepLine, StepList

PAGES = {name: f"tui.screens.pages.{name}:{name.capitalize()}Page" for name in flow.ORDER}
BEAT_SECONDS = 0.25
PAINT_SECONDS = 0.05
"""The page is painted before anything is looked up, so that the first moment belongs to it alone."""


class WizardScreen(Screen[None]):
    """Asks what to train, on what and how. Answers are saved after every step."""

    CSS_PATH = "wizard.tcss"
    AUTO_FOCUS = ""
    BINDINGS = [
        Binding("escape", "back", "Back", tooltip="Go back. Nothing that you typed is lost.", id="wizard.back"),
        Binding("question_mark,f1", "explain", "Explain", tooltip="Explain what the cursor is on.",
                id="wizard.explain"),
        Binding("c", "consequences", "Memory", tooltip="Show or hide what the answers lead to: memory, time, disk.",
                id="wizard.consequences"),
        Binding("f", "fix", "Mend it", tooltip="Make the one change that mends the problem shown.", show=False,
                id="wizard.fix"),
        *(Binding(str(number), f"go('{name}')", f"Go to {flow.TITLES[name]}", show=False, id=f"wizard.{name}")
          for number, name in enumerate(flow.ORDER, 1)),
    ]  # fmt: skip

    def __init__(self, answers: Answers | None = None) -> None:
        super().__init__()
        self.answers = answers if answers is not None else Answers(answers_path())
        self.lookups = Lookups(self, self.answers, self._facts_changed)
        if self.answers.at not in flow.ORDER:
            self.answers.at = flow.ORDER[0]
        self._return_to = ""
        self._starting = False
        self._beat = 0

    def compose(self) -> ComposeResult:
        yield Plain(self._top_text(), id="top")
        line, steps = StepLine(), StepList()
        states = flow.states(self.answers, self.answers.at)
        line.show(states)
        steps.show(states)
        yield line
        with Horizontal(id="body"):
            yield steps
            yield Container(self._make_page(), id="page")
            with VerticalScroll(id="pane", can_focus=False):
                yield ConsequencesPane()
        yield KeyLine()

    def on_mount(self) -> None:
        self._spin = self.set_interval(BEAT_SECONDS, self._turn_spinner, pause=True)
        self._paint()
        self.set_timer(PAINT_SECONDS, self._look)

    @property
    def page(self) -> Page | None:
        """The page that is open."""
        found = self.query_one("#page", Container).children
        return found[0] if found and isinstance(found[0], Page) else None

    def _make_page(self) -> Page:
        """The page of the step that the answers are at. Its module is imported only now."""
        module, _, kind = PAGES[self.answers.at].partition(":")
        page = getattr(import_module(module), kind)(self.answers, self.lookups)
        assert isinstance(page, Page)
        return page

    async def show_step(self, name: str) -> None:
        """Open a page; what is typed on the one before is kept."""
        self.keep()
        self.answers.at = name
        page = self._make_page()
        place = self.query_one("#page", Container)
        if self.page is not None:
            self.page.close()
        async with self.batch():
            await place.remove_children()
            await place.mount(page)
        self.lookups.refresh()  # a step may ask for more, such as a simulation
        self._paint()

    def keep(self) -> None:
        """Keep what is typed and save everything."""
        if self.is_mounted and self.page is not None and self.page.ready:
            self.page.keep()
        self._save()

    def _save(self) -> None:
        try:
            self.answers.save()
        except OSError as error:
            text = f"The answers cannot be saved: {error.strerror}. Make room; the wizard goes on."
            self.notify(text, severity="warning", markup=False)

    def _look(self) -> None:
        self.lookups.refresh()
        self._facts_changed()

    def _facts_changed(self) -> None:
        if not self.is_mounted:
            return
        if self.page is not None and self.page.ready:
            self.page.show_facts()
        self._paint()

    def _paint(self) -> None:
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

    @on(Page.Changed)
    def _answer_changed(self, event: Page.Changed) -> None:
        event.stop()
        flow.changed(self.answers, self.answers.at)
        self._save()
        self._look()

    @on(Page.Confirmed)
    async def _page_confirmed(self, event: Page.Confirmed) -> None:
        event.stop()
        name = self.answers.at
        wrong = [one for one in flow.step(name).validate(self.answers, self.lookups.facts)
                 if one.blocking and not one.waiting and name != "machine"]  # fmt: skip
        if wrong and self.page is not None:
            self.page.insist(wrong[0])
            return
        flow.confirm(self.answers, name)
        target, self._return_to = self._return_to or flow.after(name), ""
        await self.show_step(target)

    @on(StepList.Chosen)
    async def _step_chosen(self, event: StepList.Chosen) -> None:
        await self.action_go(event.name)

    async def action_go(self, name: str) -> None:
        """Go to any step."""
        self._return_to = ""
        if name != self.answers.at:
            await self.show_step(name)

    async def action_back(self) -> None:
        """Within the page, else to the step before, else home. Works from an invalid page too."""
        if self.has_class("-pane-only"):
            self.remove_class("-pane-only")
            return
        within = getattr(self.page, "step_back", None)
        if within is not None and within():
            return
        before, self._return_to = self._return_to or flow.before(self.answers.at), ""
        if before is not None:
            await self.show_step(before)
        else:
            self.keep()
            self._leave()

    def _leave(self) -> None:
        if len(self.app.screen_stack) > 2:
            self.dismiss()
            return
        from tui.screens.home import HomeScreen

        self.app.switch_screen(HomeScreen())

    def action_explain(self) -> None:
        """Explain the focused thing."""
        if self.page is None:
            return
        from tui.screens.commands import help_lines
        from tui.screens.explain import ExplainScreen

        self.app.push_screen(ExplainScreen(*self.page.explanation(), help_lines(self)))

    def action_consequences(self) -> None:
        """Show or hide the pane; on a narrow screen it takes the page's place."""
        self.toggle_class("-pane-only" if self.size.width < 100 else "-no-pane")

    async def action_fix(self) -> None:
        """Make the change that mends what is wrong."""
        found = consequences(self.answers, self.lookups.facts)
        problems = [found.problem] if found is not None and found.problem is not None else []
        problems += flow.step(self.answers.at).validate(self.answers, self.lookups.facts)
        remedy = next((problem.remedy for problem in problems if problem.remedy is not None), None)
        if remedy is None:
            self.notify("There is nothing to mend here.", markup=False)
            return
        owner = "method" if remedy.key == "method.name" else "settings"
        self.answers.put(remedy.key, remedy.value, "you", "to make it fit")
        flow.changed(self.answers, owner)
        self._save()
        self._look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters and digits are text while a field has the focus."""
        typing = getattr(self.focused, "TAKES_LETTERS", False)
        return not (typing and action in ("consequences", "fix", "go"))

    async def on_review_page_edit(self, event: object) -> None:
        """A line of the review is to be changed; afterwards the review is shown again."""
        await self.show_step(getattr(event, "step_name", "machine"))
        self._return_to = "review"

    def on_review_page_save(self) -> None:
        """Write the recipe to a file."""
        from tui.screens.starting import save_recipe

        try:
            save_recipe(self)
        except UserError as error:
            if self.page is not None:
                self.page.show_problem(Problem.of(error))

    def on_review_page_start(self, event: object) -> None:
        """Start the run, or its rehearsal alone, and show it."""
        from tui.screens.starting import start_run

        if not self._starting:  # a second Enter must not start a second run
            self._starting = True
            rehearse = bool(getattr(event, "rehearse", False))
            start(self, partial(self._start, partial(start_run, rehearse=rehearse)), "start")

    async def _start(self, start_run: Callable[[WizardScreen], Coroutine[None, None, None]]) -> None:
        try:
            await start_run(self)
        finally:
            self._starting = False
