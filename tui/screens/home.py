"""The home page: the runs with their live state, and the ways to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList

from engine.errors import UserError
from tui.places import answers_path
from tui.screens.background import in_thread, start
from tui.screens.run_actions import RunActions
from tui.steps.option import Option
from tui.text import clean
from tui.widgets.choice import ChoiceList
from tui.widgets.key_line import KeyLine
from tui.widgets.plain import Plain

if TYPE_CHECKING:
    from engine.runs.store import Run
    from tui.answers import Answers
    from tui.screens.run_list import RunLine

NEW, DEMO, CONTINUE = ":new", ":demo", ":continue"
REFRESH_SECONDS = 2.0
PAINT_SECONDS = 0.05
"""How long the writer's thread has the processor to itself: the page is painted before the runs are read."""
GREETING = """\
Welcome. Tunewright teaches a language model from your examples: it looks at this machine, says what fits and why, \
trains, and lets you talk to the result.

The demo shows everything in about a minute, with a tiny model that comes with the program. Press Enter to open it, \
and Enter again on every page."""


def _words_about(lost: list[RunLine]) -> str:
    """What stands above the list: what was lost since somebody last looked, and the key that goes on."""
    if not lost:
        return "Your runs go on when you close this program."
    what = f"{clean(lost[0].name)}: {lost[0].detail} Press r to go on."
    return what if len(lost) == 1 else f"{what} {len(lost) - 1} more ended like this."


class HomeScreen(RunActions):
    """Enter opens what is highlighted: a run, the unfinished answers, a new fine-tune or the demo."""

    CSS_PATH = "home.tcss"
    AUTO_FOCUS = "#choices"
    BINDINGS = [
        Binding("n", "new", "New", tooltip="Begin a new fine-tune.", id="home.new"),
        Binding("t", "chat", "Chat", tooltip="Talk with the result of the highlighted run.", id="home.chat"),
        Binding("v", "evaluate", "Evaluate", tooltip="Measure the result of the highlighted run on held-out rows.",
                id="home.evaluate"),
        Binding("x", "export", "Export", tooltip="Hand the result of the highlighted run on.", id="home.export"),
        Binding("r", "resume", "Resume", tooltip="Go on with the highlighted run from its last checkpoint.",
                id="home.resume"),
        Binding("c", "compare", "Compare", show=False, id="home.compare",
                tooltip="Lay the loss of the highlighted run over that of the others."),
        Binding("l", "clone", "Clone", tooltip="Begin a new fine-tune with the answers of the highlighted run.",
                id="home.clone"),
        Binding("a", "adapters", "Adapters", id="home.adapters",
                tooltip="The adapters of all runs: how to serve one, and how to combine several."),
        Binding("d", "delete", "Delete", show=False, tooltip="Delete the highlighted run; you type its name first.",
                id="home.delete"),
        Binding("question_mark,f1", "explain", "Help", tooltip="Explain this page and its keys.", id="home.explain"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[RunLine] | None = None
        self._unfinished: Answers | None = None
        self._lost_was_shown = False
        self._runs_were_shown = False

    @property
    def choices(self) -> ChoiceList:
        return self.query_one("#choices", ChoiceList)

    def compose(self) -> ComposeResult:
        yield Plain(Content.assemble((" Tunewright", "bold $text-accent")), id="top")
        yield Plain("", id="greeting")
        yield ChoiceList(id="choices")
        yield KeyLine()

    def on_mount(self) -> None:
        self._load_unfinished()
        self._show()
        self.call_after_refresh(self.set_timer, PAINT_SECONDS, self.look_again)
        self.set_interval(REFRESH_SECONDS, self.look_again)

    def on_screen_resume(self) -> None:
        """Somebody came back. At the first time `on_mount` has seen to it."""
        if self._lines is not None:
            self._load_unfinished()
            self.look_again()

    def _load_unfinished(self) -> None:
        """Take up what was not finished, if anything: the first start has nothing to read, and does not wait for it."""
        if not answers_path().exists():
            self._unfinished = None
            return
        from tui.answers import Answers

        try:
            found = Answers.load(answers_path())
        except UserError as error:
            self.notify(f"{error.what} {error.fix}", severity="warning", markup=False)
            found = Answers(answers_path())
        self._unfinished = found if found.started else None

    def look_again(self) -> None:
        if self.app.screen is self:
            start(self, self._read_runs, "runs")

    async def _read_runs(self) -> None:
        from tui.screens.run_list import read_lines

        lines = await in_thread(read_lines)
        if lines != self._lines:
            self._lines = lines
            self._show()

    def _show(self) -> None:
        first_time = not self._lines and self._unfinished is None
        lost = [line for line in self._lines or () if line.lost]
        self.query_one("#greeting", Plain).put(GREETING if first_time else _words_about(lost))
        offered = self._actions(first_time)
        offered += [line.option() for line in self._lines or ()]
        first = lost[0].name if lost and not self._lost_was_shown else ""
        self._lost_was_shown |= bool(lost)
        # what the first painting highlighted, before the runs were read, was nobody's choice
        kept = self.choices.value if self._runs_were_shown and self.choices.value else offered[0].value
        self._runs_were_shown = self._lines is not None
        self.choices.show(offered, first or kept)  # a lost run waits for one key, so it is highlighted once
        self.refresh_bindings()

    def _actions(self, first_time: bool) -> list[Option]:
        demo = Option(DEMO, "Try the demo", "Everything from the first page to a talking model, in about a minute.")
        new = Option(NEW, "New fine-tune", "Seven pages; three answers are enough.")
        if first_time:
            return [demo, new]
        if self._unfinished is None:
            return [new, demo]
        model = self._unfinished.text("model.source") or "no model yet"
        text = f"At the page {self._unfinished.at.capitalize()}; {clean(model)}."
        return [Option(CONTINUE, "Continue where you left off", text), new, demo]

    @on(OptionList.OptionSelected, "#choices")
    def _taken(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        value = event.option.id or ""
        if value == CONTINUE:
            self.tunewright.open_wizard(self._unfinished)
        elif value == NEW:
            self.action_new()
        elif value == DEMO:
            self.action_demo()
        elif (run := self.highlighted_run()) is not None:
            self.tunewright.open_training(run)

    def _line(self) -> RunLine | None:
        return next((line for line in self._lines or () if line.name == self.choices.value), None)

    def highlighted_run(self) -> Run | None:
        line = self._line()
        return line.run if line is not None else None

    def action_new(self) -> None:
        """Begin anew; unfinished answers are kept until the new ones are saved."""
        from tui.answers import Answers
        from tui.screens.confirm import ConfirmScreen

        if self._unfinished is None:
            self.tunewright.open_wizard(Answers(answers_path()))
            return

        text = "There are unfinished answers. A new fine-tune takes their place."

        def decided(sure: bool | None) -> None:
            if sure:
                self.tunewright.open_wizard(Answers(answers_path()))

        self.app.push_screen(ConfirmScreen("Begin anew?", text, "Begin anew"), decided)

    def action_demo(self) -> None:
        """Begin with the answers of the demo. They are kept in memory: they take the place of no unfinished ones."""
        from engine.places import runs_root
        from engine.runs.store import fresh_name
        from tui.screens.demo import demo_answers

        answers = demo_answers()
        answers.put("run.name", fresh_name(runs_root(), "demo"), "recommended", "the demo")
        self.tunewright.open_wizard(answers)

    def action_adapters(self) -> None:
        """The adapters of all runs."""
        self.tunewright.open_adapters()

    def action_explain(self) -> None:
        """Explain this page."""
        from tui.screens.commands import help_lines
        from tui.screens.explain import ExplainScreen

        text = "A run is a fine-tune on disk. It works in the background and does not need this window."
        self.app.push_screen(ExplainScreen("Home", text, help_lines(self)))

    def on_option_list_option_highlighted(self) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Actions on a run need a highlighted run that can take them."""
        if action == "adapters":
            return bool(self._lines)
        if action == "compare":
            return self._line() is not None and len(self._lines or ()) > 1
        if action in ("chat", "evaluate", "export", "resume", "clone", "delete"):
            line = self._line()
            return line is not None and action in line.actions
        return True
