"""The wizard: seven pages, the ways between them, and what a changed answer brings about."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from importlib import import_module

from textual import on
from textual.binding import Binding
from textual.containers import Container

from engine.errors import UserError
from tui.answers import Answers
from tui.places import answers_path
from tui.screens.background import start
from tui.screens.pages.base import Page
from tui.screens.wizard_frame import WizardFrame
from tui.steps import flow
from tui.steps.mending import first_remedy, mend
from tui.steps.option import Problem
from tui.widgets.step_list import StepList

PAGES = {name: f"tui.screens.pages.{name}:{name.capitalize()}Page" for name in flow.ORDER}


class WizardScreen(WizardFrame):
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
        super().__init__(answers if answers is not None else Answers(answers_path()))
        self._return_to = ""
        self._starting = False

    def make_page(self) -> Page:
        """The page of the step that the answers are at. Its module is imported only now."""
        module, _, kind = PAGES[self.answers.at].partition(":")
        page = getattr(import_module(module), kind)(self.answers, self.lookups)
        assert isinstance(page, Page)
        return page

    async def show_step(self, name: str) -> None:
        """Open a page; what is typed on the one before is kept."""
        self.keep()
        self.answers.at = name
        page = self.make_page()
        place = self.query_one("#page", Container)
        if self.page is not None:
            self.page.close()
        async with self.batch():
            await place.remove_children()
            await place.mount(page)
        self.lookups.refresh()  # a step may ask for more, such as a simulation
        self.paint()

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

    @on(Page.Changed)
    def _answer_changed(self, event: Page.Changed) -> None:
        event.stop()
        flow.changed(self.answers, self.answers.at)
        self._save()
        self.look()

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
        remedy = first_remedy(self.answers, self.lookups.facts)
        if remedy is None:
            self.notify("There is nothing to mend here.", markup=False)
            return
        mend(self.answers, remedy)
        self._save()
        self.look()

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
