"""The Model page: a field for a folder or Hub name, what was found out about it, and the catalogue or a search."""

from __future__ import annotations

from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content

from engine.errors import UserError
from tui.screens.background import in_thread, start
from tui.screens.pages.base import SourcePage
from tui.steps import model as step
from tui.steps.option import Option, Problem
from tui.text import clean
from tui.widgets.field import Field, typing_key
from tui.widgets.plain import Plain
from tui.widgets.problem import problem_text

USE, SIGN_IN, CATALOGUE = ":use", ":sign-in", ":catalogue"
SEARCH_LABEL = "Words to search the Hugging Face Hub for. Enter searches, Esc goes back."


class ModelPage(SourcePage):
    """With a model Enter goes on; without one the list of models has the focus."""

    NAME = "model"
    BINDINGS = [
        typing_key("a name", "model"),
        Binding("s", "search", "Search the Hub", tooltip="Search the Hugging Face Hub for a model by its name.",
                id="model.search"),
    ]  # fmt: skip

    def compose_body(self) -> ComposeResult:
        self._searching = False
        self._results: list[Option] | None = None
        self._busy = ""
        text = self.answers.drafts.get("model.source") or self.answers.text("model.source")
        yield Field(self.question.free, text, "/path/to/model or owner/name", id="source")
        yield Plain("", id="found")

    def show_facts(self) -> None:
        self.query_one("#found", Plain).put(self._found())
        offered = self._offered()
        here = self.choices.value
        if not any(one.value == here for one in offered):
            here = USE if self.answers.text("model.source") else self.question.suggestion(self.answers, self.facts)
        self.choices.show(offered, here)

    def _offered(self) -> list[Option]:
        source = self.answers.text("model.source")
        first = [Option(USE, "Use this model", clean(source))] if source else []
        if step.is_locked(self.facts):
            text = "Opens the Hub's own sign-in. It asks for your token and keeps it; this program never sees it."
            first.insert(0, Option(SIGN_IN, "Sign in to the Hub", text))
        if self._results is not None:
            back = Option(CATALOGUE, "Back to the list", f"{len(self._results)} models found.")
            return [*self._results, *first, back]
        return [*first, *(one for one in self.question.options(self.answers, self.facts) if one.value != source)]

    def take(self, value: str) -> None:
        if value == USE:
            self.post_message(self.Confirmed())
        elif value == SIGN_IN:
            self._sign_in()
        elif value == CATALOGUE:
            self._results = None
            self.show_facts()
            self.choices.highlighted = 0
        elif self._apply(value):
            self.choices.highlighted = 0

    @on(Field.Submitted)
    def _typed(self, event: Field.Submitted) -> None:
        event.stop()
        if self._searching:
            self._leave_search()
            self._busy = "Searching the Hub."
            self.show_facts()
            start(self.screen, partial(self._search, event.text), "search")
        elif self._apply(event.text):
            self.choices.highlighted = 0
            self.choices.focus()

    def _apply(self, text: str) -> bool:
        self.answers.drafts["model.source"] = text
        if not self.store(self.question, text):
            return False
        self.answers.drafts.pop("model.source", None)
        self._results = None
        self.field.text = self.answers.text("model.source")
        self.lookups.refresh()
        self.show_facts()
        return True

    def action_search(self) -> None:
        """Ask for words to search for."""
        self._searching = True
        self.field.label(SEARCH_LABEL)
        self.field.text = ""
        self.field.focus_text()

    def _leave_search(self) -> None:
        self._searching = False
        self.field.label(self.question.free)
        self.field.text = self.answers.drafts.get("model.source") or self.answers.text("model.source")
        self.choices.focus()

    async def _search(self, words: str) -> None:
        from tui.steps import hub_search

        try:
            found = await in_thread(partial(hub_search.search_hub, words))
        except UserError as error:
            self._busy = ""
            if self.ready:
                self.show_facts()
                self.show_problem(Problem.of(error))
            return
        self._busy = ""
        self._results = hub_search.options(found, self.facts)
        if self.ready:
            self.show_facts()
            self.choices.highlighted = 0

    def _sign_in(self) -> None:
        from tui.screens.hub_sign_in import sign_in

        sign_in(self.app)
        self.lookups.forget("model")
        self.lookups.refresh()
        self.show_facts()

    def step_back(self) -> bool:
        """From the search back to the page."""
        if self._searching:
            self._leave_search()
            return True
        was, self._results = self._results, None
        if was is not None:
            self.show_facts()
        return was is not None

    def insist(self, problem: Problem) -> None:
        """What was found out is in sight already, so only what to do is said."""
        known = self.facts.model.problem
        if known is None or known.what != problem.what:
            self.show_problem(problem)
        self.notify("Mend this first. Digits go to another page.", severity="warning", markup=False)

    def keep(self) -> None:
        text = self.field.text
        if text.strip() and text != self.answers.text("model.source") and not self._searching:
            self.answers.drafts["model.source"] = text

    def _found(self) -> Content:
        if self._busy:
            return Content.assemble((self._busy, "$text-muted"))
        if self.facts.model.problem is not None:
            return problem_text(Problem.of(self.facts.model.problem))
        if self.facts.model.busy:
            return Content.assemble(("Looking up the model. Enter goes on meanwhile.", "$text-muted"))
        return Content.assemble(*((f"{clean(line)}\n", "") for line in step.facts_lines(self.facts)))
