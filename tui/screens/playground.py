"""The playground: the same question to two models side by side: base, tuned, checkpoints, other runs."""

from __future__ import annotations

import time
import uuid
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from engine.errors import UserError
from engine.runs.store import Run
from tui.jobs import AsyncJob
from tui.screens.playground_asking import conversation, note_of, request_for
from tui.screens.playground_history import SAME, Exchange, read_history, remember, tally_words, vote
from tui.screens.playground_models import Models
from tui.screens.playground_settings import DEFAULTS, settings_words
from tui.screens.playground_sides import TITLES
from tui.text import clean, one_line
from tui.watch.held_out import HeldOut, read_rows
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line
from tui.widgets.transcript import Transcript

PAINT_SECONDS = 0.15
TEMPERATURES = (0.0, 0.7, 1.0)
PLACES = ("left", "right")
PLACEHOLDER = "Ask something and press Enter, or F3 for a question from the held-out rows"


class PlaygroundScreen(Models, Screen[None]):
    """Talks with the result of a run through the job "chat", which ends when the screen is left."""

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
        super().__init__()
        self.run = run
        self.job = AsyncJob("chat", {"run": str(run.path)})
        self.ready = False
        self.one_model = True
        self.pending = ""  # what else the job was asked for, in words
        self.waiting: HeldOut | None = None  # asked, and not answered yet
        self.queued: HeldOut | None = None  # to be asked when the model is loaded
        self.names = ["base", "tuned"]  # who answers, left and right
        self.loaded = ["base", "tuned"]
        self.said: dict[str, list[tuple[str, str]]] = {}
        self.settings: dict[str, Any] = dict(DEFAULTS)
        self.held_out: list[HeldOut] | None = None
        self.earlier = read_history(run)
        self.last = ""  # the exchange that a vote is for
        self._next_row = 0
        self._recalled = 0
        self._started = time.monotonic()

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
        self.set_interval(PAINT_SECONDS, self._paint)

    async def on_unmount(self) -> None:
        """The model leaves memory with the page."""
        await self.job.close()

    def transcript(self, name: str) -> Transcript | None:
        """The column in which `name` answers."""
        places = [place for place, who in zip(PLACES, self.names, strict=True) if who == name]
        return self.query_one(f"#{places[0]}", Transcript) if places else None

    # the job

    def restart(self, checkpoint: str) -> None:
        """Load a checkpoint in place of what is loaded: whole models are not held beside each other."""
        old = self.job
        self.job = AsyncJob("chat", {"run": str(self.run.path), "checkpoint": checkpoint})
        self.ready, self.waiting, self.pending = False, None, ""
        self._started = time.monotonic()

        async def change() -> None:
            await old.close()
            await self._talk()

        self.run_worker(change(), group="chat", exclusive=True)

    async def _talk(self) -> None:
        job = self.job
        try:
            await job.start()
        except (UserError, OSError) as error:
            self._failed(error if isinstance(error, UserError) else UserError(str(error)))
            return
        while True:
            try:
                async for message in job.messages():
                    self._take(message)
                return
            except UserError as error:
                if not self.ready or (self.waiting is None and not self.pending):
                    self._failed(error)
                    return
                self._refused(error)

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"ready": dict(facts)}:
                self._loaded(facts)
            case {"token": {"which": str(side), "text": str(text)}}:
                if (column := self.transcript(side)) is not None:
                    column.add(text)
            case {"reply": dict(reply)}:
                self._answered(reply)
            case {"held_out": list(rows)}:
                self.pending, self.held_out = "", read_rows(rows)
                self.call_later(self.action_held_out)
            case {"adapters": list(names)}:
                self.adapters_loaded([str(name) for name in names])
            case {"progress": dict(progress)} if not self.ready:
                detail = progress.get("detail") or ""
                words = f"{str(progress.get('phase', 'loading')).capitalize()}: {detail}" if detail else "Loading."
                self.say(f"{words} You can type already.", "key")
            case _:
                pass

    def _loaded(self, facts: dict[str, Any]) -> None:
        self.ready, self.one_model = True, bool(facts.get("one_model", True))
        self.query_one(Input).disabled = False
        seconds = time.monotonic() - self._started
        notes = [str(note) for note in facts.get("notes") or []]
        ready = f"Ready on {facts.get('device', 'this machine')} after {seconds:.0f} s."
        self.say(" ".join([ready, *notes]), "warn" if notes else "good")
        if self.queued is not None:
            question, self.queued = self.queued, None
            self.ask(question)

    def _failed(self, error: UserError) -> None:
        where = f" ({error.where})" if error.where else ""
        self.say(f"{error.what}{where} {error.fix}", "bad")
        self.query_one(Input).disabled = True

    def _refused(self, error: UserError) -> None:
        if self.waiting is not None:
            for place in PLACES:
                self.query_one(f"#{place}", Transcript).close("not answered")
        self.waiting, self.pending = None, ""
        self.say(f"{error.what} {error.fix}", "bad")

    # asking and answering

    @on(Input.Submitted, "#prompt")
    def _submitted(self, event: Input.Submitted) -> None:
        question = event.value.strip()
        if question and self.waiting is None:
            event.input.value = ""
            self.ask(HeldOut((("user", question),), "", 0))

    def ask(self, asked: HeldOut) -> None:
        """Put a question to both columns, at once or as soon as the model is there."""
        if not self.ready:
            self.queued = asked
            self.say("Still loading. The question is asked as soon as the model is there.", "key")
            return
        self.waiting, self._recalled = asked, 0
        expected = Content.assemble(("expected  ", "$text-muted"), clean(asked.expected))
        self.query_one("#expected", Static).update(expected if asked.expected else "")
        self.set_class(bool(asked.expected), "-expecting")
        for place in PLACES:
            self.query_one(f"#{place}", Transcript).ask(asked.question)
        self.say("Answering. Esc stops it.", "key")
        self.run_worker(self.job.send(request_for(asked, self.names, self.said, self.settings)), group="send")

    def _answered(self, reply: dict[str, Any]) -> None:
        asked, self.waiting = self.waiting, None
        if asked is None:
            return
        answers = {}
        for place, name in zip(PLACES, self.names, strict=True):
            column = self.query_one(f"#{place}", Transcript)
            column.answer = answers[name] = str(reply.get(name, column.answer))
            right = bool(asked.expected) and column.answer.strip() == asked.expected.strip()
            column.close(note_of(reply, name, asked, right), right)
            self.said[name] = [*conversation(self.said, name, asked), ("assistant", column.answer)]
        self._keep(Exchange(uuid.uuid4().hex, asked.question, answers, asked.expected, dict(self.settings)))

    def _keep(self, exchange: Exchange) -> None:
        self.earlier.append(exchange)
        self.last = exchange.id
        try:
            remember(self.run, exchange)
        except OSError as error:
            self.say(f"This was not kept with the run: {error.strerror}.", "warn")
            return
        self.say("F7 or F8 says which answer is better, F9 that both are alike. Ask again, or F3.", "dim")
        self.refresh_bindings()

    def _paint(self) -> None:
        if self.waiting is not None:
            for place in PLACES:
                self.query_one(f"#{place}", Transcript).paint()

    # keys

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

    def action_vote(self, place: str) -> None:
        """Count which answer was better; a second vote for the same question takes the first one's place."""
        if not self.last or self.waiting is not None:
            return
        winner = self.names[PLACES.index(place)] if place in PLACES else SAME
        try:
            vote(self.run, self.last, winner)
        except OSError as error:
            self.say(f"The vote was not kept: {error.strerror}.", "bad")
            return
        self.earlier = read_history(self.run)
        self.say(f"Counted: {winner}.", "good")
        self.show_header()

    def action_temperature(self) -> None:
        """Take the next temperature."""
        now = self.settings.get("temperature", 0.0)
        place = TEMPERATURES.index(now) if now in TEMPERATURES else -1
        self.settings["temperature"] = TEMPERATURES[(place + 1) % len(TEMPERATURES)]
        self.show_header()

    def action_recall(self, way: int) -> None:
        """Walk through the questions that were asked, the newest first."""
        prompt = self.query_one(Input)
        questions = list(dict.fromkeys(exchange.question for exchange in self.earlier))
        self._recalled = min(max(0, self._recalled - way), len(questions))
        prompt.value = questions[-self._recalled].replace("\n", " ") if self._recalled else ""
        prompt.cursor_position = len(prompt.value)

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

    def show_header(self) -> None:
        """The run, how answers are drawn, and the votes so far."""
        pieces = [
            (f" {self.run.name}", "strong"),
            ("  playground", "key"),
            (f"  {settings_words(self.settings)}", "dim"),
        ]
        votes = tally_words(self.earlier)
        self.query_one("#header", Line).put([*pieces, (f"  {votes}", "good")] if votes else pieces)

    def say(self, text: str, look: str) -> None:
        """A sentence in the message row."""
        self.query_one("#message", Line).say(f" {one_line(text)}", look)
