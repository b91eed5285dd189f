"""What the pages beside a run have in common: they say things in a row of their own, and go back to the page before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.screen import Screen

from tui.text import one_line
from tui.widgets.line import Line

if TYPE_CHECKING:
    from tui.async_job import AsyncJob


class SidePage(Screen[None]):
    """A page with the row `#message`, which is left for the page before."""

    def say(self, text: str, look: str = "plain") -> None:
        """Show a sentence in the message row."""
        self.query_one("#message", Line).say(f" {one_line(text)}", look)

    def action_back(self) -> None:
        """Go to the page before, or leave the program when there is none."""
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        else:
            self.app.exit()


class JobPage(SidePage):
    """A page on which at most one job works at a time."""

    job: AsyncJob | None = None

    async def on_unmount(self) -> None:
        """The job ends with the page."""
        if self.job is not None:
            await self.job.close()
