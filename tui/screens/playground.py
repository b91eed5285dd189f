"""The playground: the same question to the base model and to the tuned one, side by side."""

from __future__ import annotations

import time
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
from tui.screens.background import in_thread
from tui.text import clean, one_line
from tui.watch.held_out import HeldOut, held_out_prompts
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line
from tui.widgets.transcript import Transcript

PAINT_SECONDS = 0.15
TEMPERATURES = (0.0, 0.7, 1.0)
SIDES = ("base", "tuned")
PLACEHOLDER = "Ask something and press Enter, or F3 for a question from the held-out rows"


class PlaygroundScreen(Screen[None]):
    """Talks with the result of a run through the job "chat", which ends when the screen is left."""

    CSS_PATH = "playground.tcss"
    AUTO_FOCUS = "#prompt"
    BINDINGS: ClassVar = [
        Binding("f3,ctrl+r", "held_out", "Held-out row", id="playground.held_out",
                tooltip="Ask a question from the data that was kept out of training, and show the expected answer."),
        Binding("f4,ctrl+n", "new", "New conversation", id="playground.new", tooltip="Forget what was said so far."),
        Binding("f5,ctrl+t", "temperature", "Temperature", id="playground.temperature",
                tooltip="0 always gives the likeliest answer; more makes answers vary."),
        Binding("up", "recall", "Last question", show=False, id="playground.recall"),
        Binding("escape", "stop_or_back", "Stop or back", id="playground.back",
                tooltip="Stop an answer that is being written; without one, go back."),
    ]  # fmt: skip

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.job = AsyncJob("chat", {"run": str(run.path)})
        self.ready = False
        self.waiting: HeldOut | None = None  # asked, and not answered yet
        self.queued: HeldOut | None = None  # to be asked when the model is loaded
        self.history: dict[str, list[tuple[str, str]]] = {side: [] for side in SIDES}
        self.temperature = TEMPERATURES[0]
        self.held_out: list[HeldOut] | None = None
        self._next_row = 0
        self._last_question = ""
        self._started = time.monotonic()

    def compose(self) -> ComposeResult:
        yield Line([[(f" {self.run.name}", "strong"), ("  playground", "key")]], id="header")
        with Container(id="sides"):
            yield Transcript("Base model", id="base")
            yield Transcript("Tuned model", id="tuned")
        yield Static("", id="expected", markup=False)
        yield Line(id="message")
        yield Input(placeholder=PLACEHOLDER, id="prompt")
        yield KeyLine()

    def on_mount(self) -> None:
        """Start the job; the page can be typed into at once."""
        self.query_one(Input).cursor_blink = False
        self._say("Loading the model. You can type already.", "key")
        self._show_header()
        self.run_worker(self._talk(), group="chat", exclusive=True)
        self.set_interval(PAINT_SECONDS, self._paint)

    async def on_unmount(self) -> None:
        """The model leaves memory with the page."""
        await self.job.close()

    # the job

    async def _talk(self) -> None:
        try:
            await self.job.start()
        except (UserError, OSError) as error:
            self._failed(error if isinstance(error, UserError) else UserError(str(error)))
            return
        while True:
            try:
                async for message in self.job.messages():
                    self._take(message)
                return
            except UserError as error:
                if not self.ready or self.waiting is None:
                    self._failed(error)
                    return
                self._refused(error)

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"ready": dict(facts)}:
                self._loaded(facts)
            case {"token": {"which": str(side), "text": str(text)}} if side in SIDES:
                self.query_one(f"#{side}", Transcript).add(text)
            case {"reply": dict(reply)}:
                self._answered(reply)
            case {"progress": dict(progress)} if not self.ready:
                detail = progress.get("detail") or ""
                words = f"{str(progress.get('phase', 'loading')).capitalize()}: {detail}" if detail else "Loading."
                self._say(f"{words} You can type already.", "key")
            case _:
                pass

    def _loaded(self, facts: dict[str, Any]) -> None:
        self.ready = True
        seconds = time.monotonic() - self._started
        self._say(f"Ready on {facts.get('device', 'this machine')} after {seconds:.0f} s.", "good")
        if self.queued is not None:
            question, self.queued = self.queued, None
            self._ask(question)

    def _failed(self, error: UserError) -> None:
        where = f" ({error.where})" if error.where else ""
        self._say(f"{error.what}{where} {error.fix}", "bad")
        self.query_one(Input).disabled = True

    def _refused(self, error: UserError) -> None:
        self.waiting = None
        for side in SIDES:
            self.query_one(f"#{side}", Transcript).close("not answered")
        self._say(f"{error.what} {error.fix}", "bad")

    # asking and answering

    @on(Input.Submitted, "#prompt")
    def _submitted(self, event: Input.Submitted) -> None:
        question = event.value.strip()
        if question and self.waiting is None:
            event.input.value = ""
            self._ask(HeldOut((("user", question),), "", 0))

    def _ask(self, asked: HeldOut) -> None:
        if not self.ready:
            self.queued = asked
            self._say("Still loading. The question is asked as soon as the model is there.", "key")
            return
        self.waiting = asked
        self._last_question = asked.question
        expected = Content.assemble(("expected  ", "$text-muted"), clean(asked.expected))
        self.query_one("#expected", Static).update(expected if asked.expected else "")
        self.set_class(bool(asked.expected), "-expecting")
        for side in SIDES:
            self.query_one(f"#{side}", Transcript).ask(asked.question)
        self._say("Answering. Esc stops it.", "key")
        self.run_worker(self.job.send(self._request(asked)), group="send")

    def _request(self, asked: HeldOut) -> dict[str, Any]:
        def turns(side: str) -> list[dict[str, str]]:
            said = [*self.history[side], *asked.turns]
            return [{"role": role, "content": content} for role, content in said]

        return {"turns": turns("tuned"), "base_turns": turns("base"), "which": "both", "temperature": self.temperature}

    def _answered(self, reply: dict[str, Any]) -> None:
        asked, self.waiting = self.waiting, None
        if asked is None:
            return
        for side in SIDES:
            transcript = self.query_one(f"#{side}", Transcript)
            transcript.answer = str(reply.get(side, transcript.answer))
            right = bool(asked.expected) and transcript.answer.strip() == asked.expected.strip()
            transcript.close(_note(reply, side, asked, right), right)
            self.history[side] += [*asked.turns, ("assistant", transcript.answer)]
        self._say("Ask again, or F3 for the next held-out row.", "dim")

    def _paint(self) -> None:
        if self.waiting is not None:
            for side in SIDES:
                self.query_one(f"#{side}", Transcript).paint()

    # keys

    async def action_held_out(self) -> None:
        """Ask the next held-out row in a conversation of its own."""
        if self.waiting is not None:
            return
        if self.held_out is None:
            self._say("Reading the held-out rows.", "key")
            try:
                self.held_out = await in_thread(lambda: held_out_prompts(self.run.recipe()))
            except UserError as error:
                self._say(f"{error.what} {error.fix}", "bad")
                return
        if not self.held_out:
            self._say("This run held no rows out.", "warn")
            return
        asked = self.held_out[self._next_row % len(self.held_out)]
        self._next_row += 1
        self._forget()
        self._ask(asked)

    def action_new(self) -> None:
        """Begin a new conversation."""
        if self.waiting is None:
            self._forget()
            for side in SIDES:
                self.query_one(f"#{side}", Transcript).clear()
            self.set_class(False, "-expecting")
            self._say("A new conversation.", "dim")

    def _forget(self) -> None:
        self.history = {side: [] for side in SIDES}

    def action_temperature(self) -> None:
        """Take the next temperature."""
        place = TEMPERATURES.index(self.temperature)
        self.temperature = TEMPERATURES[(place + 1) % len(TEMPERATURES)]
        self._show_header()

    def action_recall(self) -> None:
        """Bring the last question back."""
        prompt = self.query_one(Input)
        if not prompt.value and self._last_question:
            prompt.value = self._last_question.replace("\n", " ")
            prompt.cursor_position = len(prompt.value)

    def action_stop_or_back(self) -> None:
        """Stop the answer; without one, leave."""
        if self.waiting is not None:
            self._say("Stopping.", "warn")
            self.run_worker(self.job.send({"stop": True}), group="send")
        elif len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        else:
            self.app.exit()

    def _show_header(self) -> None:
        likely = "always the likeliest answer" if not self.temperature else "answers vary"
        self.query_one("#header", Line).put(
            [(f" {self.run.name}", "strong"), ("  playground", "key"),
             (f"  temperature {self.temperature:g}, {likely}", "dim")]
        )  # fmt: skip

    def _say(self, text: str, look: str) -> None:
        self.query_one("#message", Line).say(f" {one_line(text)}", look)


_ENDINGS = {"length": ", cut at the limit", "stopped": ", stopped"}


def _note(reply: dict[str, Any], side: str, asked: HeldOut, right: bool) -> str:
    """How an answer ended: `24 tokens in 0.8 s`, and whether it is the expected one."""
    tokens = (reply.get("tokens") or {}).get(side)
    seconds = (reply.get("seconds") or {}).get(side)
    words = f"{tokens} tokens" if tokens is not None else "done"
    if isinstance(seconds, int | float):
        words += f" in {seconds:.1f} s"
    ending = _ENDINGS.get(str((reply.get("finish") or {}).get(side)), "")
    if asked.expected:
        ending += ", exactly as expected" if right else ", not as expected"
    return words + ending
