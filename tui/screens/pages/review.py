"""The Review page: one line per answer, the same as a command, Start and Save only."""

from __future__ import annotations

import time

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message

from tui.screens.background import in_thread, start
from tui.screens.pages.base import Page
from tui.steps import review as step
from tui.steps.option import Option
from tui.text import clean
from tui.widgets.plain import Plain

SETTLE_SECONDS = 0.3
"""A held Enter key must not start a run: Start counts only when the page was in sight this long."""


class ReviewPage(Page):
    """Enter starts the run; on another line it goes to that step and comes back."""

    NAME = "review"
    COMPACT = True

    class Edit(Message):
        """A line is to be changed."""

        def __init__(self, step_name: str) -> None:
            self.step_name = step_name
            super().__init__()

    class Start(Message):
        """The run is to be started, or only rehearsed."""

        def __init__(self, rehearse: bool = False) -> None:
            self.rehearse = rehearse
            super().__init__()

    class Save(Message):
        """Only the recipe is to be written."""

    def compose_body(self) -> ComposeResult:
        self._opened = time.monotonic()
        self._logout = ""
        yield Plain("", id="state")

    def prepare(self) -> None:
        start(self.screen, self._look_at_logout, "logout")

    async def _look_at_logout(self) -> None:
        """Whether the run goes on after a logout is known before the start; asking the system takes a moment."""
        self._logout = await in_thread(step.logout_words)
        if self._logout and self.ready:
            self.show_facts()

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield Plain("", id="command")

    def show_facts(self) -> None:
        blocking = step.blocking(self.answers, self.facts)
        ready = not blocking
        self.query_one(".question", Plain).put(step.STEP.question if ready else "Nearly ready.")
        text = "It starts in the background and goes on when you close this program."
        if blocking:
            name, problem = blocking[0]
            text = f"{problem.what} {problem.fix}"
        pieces = [(clean(text), "$text-muted" if ready else "$text-warning")]
        if ready and self._logout:
            pieces.append((f"\n{clean(self._logout)}", "$text-warning"))
        self.query_one("#state", Plain).put(Content.assemble(*pieces))
        self.choices.show(self._offered(ready), self.choices.value)
        command = clean(step.command(self.answers, self.facts))
        self.query_one("#command", Plain).put(
            Content.assemble(("The same without a screen:\n", "$text-muted"), (command, "$text-accent"))
        )

    def _offered(self, ready: bool) -> list[Option]:
        start = Option(step.START, "Start the run", "" if ready else "not possible yet, see above")
        rehearse = Option(step.REHEARSE, "Rehearse only", "measure the longest batch, and stop before the first step")
        save = Option(step.SAVE, "Save the recipe only", "to start it later or elsewhere")
        actions = [start, rehearse, save] if ready else [start, save]
        lines = step.lines(self.answers, self.facts)
        return actions + [Option(one.step, f"{one.title:<9}", one.text, one.note, False if one.note else None)
                          for one in lines]  # fmt: skip

    def take(self, value: str) -> None:
        if value in (step.START, step.REHEARSE):
            if time.monotonic() - self._opened >= SETTLE_SECONDS:
                self.post_message(self.Start(value == step.REHEARSE))
        elif value == step.SAVE:
            self.post_message(self.Save())
        else:
            self.post_message(self.Edit(value))
