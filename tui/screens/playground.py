"""The playground: the same question to two models side by side: base, tuned, checkpoints, other runs."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.widgets import Input, Static

from engine.runs.store import Run
from tui.screens.playground_models import Models
from tui.screens.playground_sides import TITLES
from tui.screens.playground_talk import PLACES
from tui.watch.held_out import HeldOut
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line
from tui.widgets.transcript import Transcript

PAINT_SECONDS = 0.15
TEMPERATURES = (0.0, 0.7, 1.0)
PLACEHOLDER = "Ask something and press Enter, or F3 for a question from the held-out rows"


class PlaygroundScreen(Models):
    """Talks with the result of a run: the job and the columns are `Talking`, what is kept is `Remembering`, and the
    lists that open over them are `Models`."""

    CSS_PATH = "playground.tcss"
    AUTO_FOCUS = "#prompt"
    BINDINGS: ClassVar = [
        Binding("f2,ctrl+s", "settings", "Settings", id="playground.settings",
                tooltip="Temperature, top-p, longest answer, seed and system prompt."),
        Binding("f3,ctrl+r", "held_out", "Held-out", id="playground.held_out",
                tooltip="Ask a question from the data that was kept out of training, and show the expected answer."),
        Binding("f4,ctrl+n", "new", "New", id="playground.new", tooltip="Forget what was said so far."),
        Binding("f5,ctrl+t", "temperature", "Temperature", show=False, id="playground.temperature",
                tooltip="0 always gives the likeliest answer; more makes answers vary."),
        Binding("f6,ctrl+l", "models", "Models", id="playground.models",
                tooltip="Who answers: base, tuned, a checkpoint, another run, or a mix of adapters."),
        Binding("f7,ctrl+b", "vote('left')", "Vote 1", id="playground.left",
                tooltip="Vote for the first answer. Votes are counted and kept with the run."),
        Binding("f8,ctrl+g", "vote('right')", "Vote 2", id="playground.right",
                tooltip="Vote for the second answer."),
        Binding("f9", "vote('same')", "Alike", show=False, id="playground.same", tooltip="Both answers are as good."),
        Binding("f10,ctrl+o", "earlier", "Earlier", show=False, id="playground.earlier",
                tooltip="What was asked before, with its answers; Enter takes the question again."),
        Binding("up", "recall(-1)", "Question before", show=False, id="playground.recall"),
        Binding("down", "recall(1)", "Next question", show=False, id="playground.recall_next"),
        Binding("f1", "explain", "Keys", show=False, id="playground.explain", tooltip="All keys of this page."),
        Binding("escape", "stop_or_back", "Back", id="playground.back",
                tooltip="Stop an answer that is being written; without one, go back."),
    ]  # fmt: skip

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._next_row = 0

    def compose(self) -> ComposeResult:
        yield Line([[(f" {self.run.name}", "strong"), ("  playground", "key")]], id="header")
        with Container(id="sides"):
            for place, name in zip(PLACES, self.names, strict=True):
                yield Transcript(TITLES[name], id=place)
        yield Static("", id="expected", markup=False)
        yield Line(id="message")
        yield Input(placeholder=PLACEHOLDER, id="prompt")
        yield KeyLine()

    def on_mount(self) -> None:
        """Start the job; the page can be typed into at once."""
        self.query_one(Input).cursor_blink = False
        self.say("Loading the model. You can type already.", "key")
        self.show_header()
        self.run_worker(self._talk(), group="chat", exclusive=True)
        self.set_interval(PAINT_SECONDS, self.paint_answers)

    async def on_unmount(self) -> None:
        """The model leaves memory with the page."""
        await self.job.close()

    @on(Input.Submitted, "#prompt")
    def _submitted(self, event: Input.Submitted) -> None:
        question = event.value.strip()
        if question and self.waiting is None:
            event.input.value = ""
            self.ask(HeldOut((("user", question),), "", 0))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A vote needs two answers to choose from."""
        return bool(self.last and self.waiting is None) if action == "vote" else True

    async def action_held_out(self) -> None:
        """Ask the next held-out row in a conversation of its own. The engine knows which rows were held out."""
        if self.waiting is not None or self.pending:
            return
        if self.held_out is None:
            if not self.ready:
                self.say("Still loading. Press F3 again when the model is there.", "key")
                return
            self.pending = "held-out rows"
            self.say("Reading the held-out rows.", "key")
            await self.job.send({"held_out": True})
            return
        if not self.held_out:
            self.say("This run held no rows out that can be asked.", "warn")
            return
        asked = self.held_out[self._next_row % len(self.held_out)]
        self._next_row += 1
        self.said = {}
        self.ask(asked)

    def action_new(self) -> None:
        """Begin a new conversation."""
        if self.waiting is None:
            self.said, self.last = {}, ""
            for place in PLACES:
                self.query_one(f"#{place}", Transcript).clear()
            self.set_class(False, "-expecting")
            self.say("A new conversation.", "dim")

    def action_temperature(self) -> None:
        """Take the next temperature."""
        now = self.settings.get("temperature", 0.0)
        place = TEMPERATURES.index(now) if now in TEMPERATURES else -1
        self.settings["temperature"] = TEMPERATURES[(place + 1) % len(TEMPERATURES)]
        self.show_header()

    def action_explain(self) -> None:
        """All keys."""
        from tui.screens.commands import help_lines
        from tui.screens.explain import ExplainScreen

        text = "Both columns get the same question. What is asked is kept with the run, and so are your votes."
        self.app.push_screen(ExplainScreen("Playground", text, help_lines(self)))

    def action_stop_or_back(self) -> None:
        """Stop the answer; without one, leave."""
        if self.waiting is not None:
            self.say("Stopping.", "warn")
            self.run_worker(self.job.send({"stop": True}), group="send")
        elif len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        else:
            self.app.exit()

    def ask_held_out(self) -> None:
        """The rows were read because a question was asked for."""
        self.call_later(self.action_held_out)
