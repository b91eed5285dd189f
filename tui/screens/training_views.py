"""The keys of the training screen that only change the picture."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from engine.runs.history import History
from engine.runs.store import Run
from tui.charts.glyphs import GLYPH_SETS
from tui.watch.feed import Feed
from tui.widgets.run_charts import RunCharts

HELP = """
The loss says how wrong the model's guesses are; lower is better, and a fall that slows down is normal. The grey band is
the loss of each step, the line is smoothed. Diamonds are evaluations on rows that the model was not trained on: when
they rise while the line falls, the model learns the rows by heart. Triangles on the axis are checkpoints.
Training does not need this page. It goes on when you leave, when the terminal closes and when the connection drops.
"""


@runtime_checkable
class ReadsHistory(Protocol):
    """A view of a run: the charts, the log, the answers."""

    def show(self, history: History) -> None: ...

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> Any: ...


class Views(Screen[None]):
    """Switching between charts, log and answers, and moving in the chart."""

    run: Run
    feed: Feed

    @property
    def charts(self) -> RunCharts:
        """The charts of the run."""
        return self.query_one(RunCharts)

    async def action_view(self, name: str) -> None:
        """Show the log or the answers, built when first asked for; the same key again goes back to the charts."""
        body = self.query_one("#body", ContentSwitcher)
        if not body.query_children(f"#{name}"):
            await body.add_content(self._built(name))
        body.current = "charts" if body.current == name else name
        self.set_class(body.current != "charts", "-reading")
        if body.current == "charts":
            self.set_focus(None)
        else:
            view = body.query_one(f"#{name}")
            assert isinstance(view, ReadsHistory)
            view.show(self.feed.history)
            view.focus()

    def _built(self, name: str) -> Widget:
        if name == "log":
            from tui.widgets.log_view import LogView

            return LogView(self.run.log_path, id="log")
        from tui.widgets.samples import Samples

        return Samples(id="samples")

    def action_log_scale(self) -> None:
        """Bend or straighten the loss axis."""
        self.charts.loss.toggle_log()

    def action_axis(self) -> None:
        """Label the steps axis with steps, epochs or time."""
        self.charts.axis.next()
        self.charts.loss.redraw()

    def action_zoom(self, factor: float) -> None:
        """Come closer or step back on the steps axis."""
        self.charts.loss.zoom(factor)

    def action_whole(self) -> None:
        """Show all steps."""
        self.charts.loss.reset_view()

    def action_cursor(self, cells: int) -> None:
        """Read the values of one step, in words."""
        self.charts.loss.move_cursor(cells)

    def action_glyphs(self) -> None:
        """Draw with the next set of signs."""
        names = list(GLYPH_SETS)
        current = names.index(self.charts.loss.plot.glyphs.name)
        self.charts.use_glyphs(GLYPH_SETS[names[(current + 1) % len(names)]])

    def action_explain(self) -> None:
        """Show how to read the page, and every key."""
        from tui.screens.commands import help_lines
        from tui.screens.explain import ExplainScreen

        self.app.push_screen(ExplainScreen("How to read this page", HELP, help_lines(self)))
