"""The Method page: the three methods side by side, with need, fit and the reason."""

from __future__ import annotations

from functools import partial

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content

from tui.screens.background import in_thread
from tui.screens.pages.base import Page
from tui.steps import method as step
from tui.steps.option import Option
from tui.text import clean
from tui.widgets.plain import Plain


class MethodPage(Page):
    """Enter takes the recommended method, unless another is highlighted."""

    NAME = "method"
    BINDINGS = [
        Binding("w", "needs", "What I need", tooltip="The smallest graphics card for each method.",
                id="method.needs"),
    ]  # fmt: skip

    def compose_body(self) -> ComposeResult:
        self._moved = False
        yield Plain("", id="why")

    def show_facts(self) -> None:
        plan = self.facts.plan.value
        text = clean(plan.reason) if plan else "The need of each method is known when machine and model are."
        self.query_one("#why", Plain).put(Content.assemble((text, "$text-accent" if plan else "$text-muted")))
        offered = [self._with_traits(option) for option in self.question.options(self.answers, self.facts)]
        self.choices.show(offered, self._highlight())

    def _with_traits(self, option: Option) -> Option:
        traits = step.TRAITS[option.value]
        text = f"{option.consequence}\n+ {traits.gained}\n- {traits.lost}"
        return Option(option.value, option.title, text, option.mark, option.good, option.recommended)

    def _highlight(self) -> str:
        if self._moved or self.answers.text("method.name"):
            return self.choices.value or self.answers.text("method.name")
        return self.facts.plan.value.recommended if self.facts.plan.value else self.choices.value

    def on_key(self, event: object) -> None:
        if getattr(event, "key", "") in ("up", "down", "j", "k"):
            self._moved = True  # a plan that arrives late must not move the highlight away from the person

    async def action_needs(self) -> None:
        """Say what each method would need."""
        from tui.screens.explain import ExplainScreen
        from tui.steps import needs

        found = await in_thread(partial(needs.smallest_gpus, self.answers.snapshot(), self.facts))
        self.app.push_screen(ExplainScreen("What would I need", needs.needs_text(found)))
