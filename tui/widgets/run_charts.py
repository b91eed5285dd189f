"""The charts of a run: the loss large, and under it small ones for learning rate, speed, gradient norm and memory."""

from __future__ import annotations

from math import nan

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.runs.history import History
from tui.charts.decimate import Series
from tui.charts.glyphs import BRAILLE, GlyphSet
from tui.charts.line_chart import AxisMark, LineChart
from tui.charts.plot import Marks
from tui.charts.trace import Trace
from tui.watch.axes import Axis
from tui.watch.lines import CurveLine, LossLines
from tui.watch.words import value_words

SMALL = (
    ("lr", "Learning rate"),
    ("tokens_per_second", "Tokens per second"),
    ("grad_norm", "Gradient norm"),
    ("mem", "Memory"),
)
COMPARED = (("margin", "Margin"), ("accuracy", "Pairs in order"), ("kl", "KL"))
GIVE_WAY = ("tokens_per_second", "mem")
"""Where answers are compared, their curves take the place of these."""


class SmallChart(LineChart):
    """One curve of the history, a few rows high."""

    def __init__(self, name: str, title: str, glyphs: GlyphSet) -> None:
        super().__init__(title, glyphs, compact=True, id=f"small-{name}")
        # GB on the axis: bytes would need ten digits
        self.line = CurveLine(name, factor=1 / 1024**3 if name == "mem" else 1.0)
        self.add_line(self.line.series, "series-2" if name == "mem" else "smooth")

    def legend(self) -> list[tuple[str, str]]:
        """The name and the newest value with its unit."""
        series = self.line.series
        if not len(series):
            return [(f" {self.chart_title}", "title"), ("  none yet", "axis")]
        last = value_words(self.line.name, series.ys[-1] / self.line.factor)
        return [(f" {self.chart_title}  ", "title"), (last, "axis")]


class RunCharts(Vertical):
    """Call `show` with the history after each reading; only what is new is drawn."""

    DEFAULT_CSS = """
    RunCharts { height: 1fr; }
    RunCharts #small { height: 8; display: none; }
    """

    def __init__(self, glyphs: GlyphSet = BRAILLE, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.lines = LossLines()
        self.loss = LineChart("Loss", glyphs, unit="steps", id="loss")
        self.loss.add_line(self.lines.raw, "raw", "each step")
        self.loss.add_line(self.lines.smooth, "smooth", "smoothed")
        self.axis = Axis()
        self.loss.labels = self.axis.labels
        self._whole: list[Trace] = []  # the exact traces, while sampled ones are shown
        self.small = [SmallChart(name, title, glyphs) for name, title in (*COMPARED, *SMALL)]
        for chart in self.small[: len(COMPARED)]:
            chart.display = False

    def compose(self) -> ComposeResult:
        yield self.loss
        with Horizontal(id="small"):
            yield from self.small

    def take_in(self, history: History) -> None:
        """Add what is new to the series without drawing."""
        self.lines.update(history)
        self.axis.follow(history)
        for chart in self.small:
            chart.line.update(history)
        if any(len(chart.line.series) for chart in self.small[: len(COMPARED)]):
            for chart in self.small:
                chart.display = bool(len(chart.line.series)) and chart.line.name not in GIVE_WAY

    def show_preview(self, steps: list[tuple[float, float]], total_steps: int) -> None:
        """Draw sampled steps of a long run until all of it has been read."""
        sampled = Series("sampled")
        sampled.extend([step for step, _ in steps], [loss for _, loss in steps])
        self._whole = self.loss.plot.traces
        self.loss.plot.traces = [Trace(sampled, "raw", "some of the steps")]
        self.loss.window.planned_end = float(total_steps)
        self.loss.redraw()

    def show(self, history: History, loss_only: bool = False) -> None:
        """Take in what is new in `history`, and draw it where it is in sight; the small charts can wait."""
        self.take_in(history)
        if self._whole:
            self.loss.plot.traces, self._whole = self._whole, []
        self._mark(history)
        self.loss.window.planned_end = float(history.total_steps)
        self.loss.redraw()
        for chart in () if loss_only else self.small:
            chart.window.planned_end = float(history.total_steps)
            if chart.size.height:
                chart.redraw()

    def _mark(self, history: History) -> None:
        glyphs = self.loss.plot.glyphs
        evaluations = list(zip(history.evals.steps, history.evals.values, strict=True))
        self.loss.set_marks(
            [
                Marks("bad", glyphs.not_a_number, "", [(step, nan) for step in self.lines.raw.gaps]),
                Marks("mark", glyphs.evaluation, "evaluation", evaluations),
            ]
        )
        self.loss.axis_marks = [
            *(AxisMark(step, glyphs.checkpoint, "checkpoint") for step in history.checkpoints),
            *(AxisMark(step, glyphs.rewind, "went back") for step in history.rewinds),
        ]

    def use_glyphs(self, glyphs: GlyphSet) -> None:
        """Change how all charts are drawn."""
        for chart in (self.loss, *self.small):
            chart.plot.glyphs = glyphs
            chart.redraw()
