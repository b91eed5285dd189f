"""The playground's conversation: the job that holds the models, the questions it gets, the answers it writes."""

from __future__ import annotations

import time
import uuid
from typing import Any

from textual.content import Content
from textual.widgets import Input, Static

from engine.errors import UserError
from engine.runs.store import Run
from tui.async_job import AsyncJob
from tui.screens.playground_asking import conversation, note_of, request_for
from tui.screens.playground_history import Exchange
from tui.screens.playground_settings import DEFAULTS
from tui.screens.side_page import SidePage
from tui.text import clean
from tui.watch.held_out import HeldOut, read_rows
from tui.widgets.transcript import Transcript

PLACES = ("left", "right")


class Talking(SidePage):
    """Asks the job "chat" and shows what it answers in two columns; the job ends when the screen is left."""

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
        self._recalled = 0
        self._started = time.monotonic()

    def keep(self, exchange: Exchange) -> None:
        """An exchange is complete. Where it goes is the page's affair; here it is let go."""

    def adapters_loaded(self, names: list[str]) -> None:
        """The job has loaded these adapters; a page that offers none has nothing to do."""

    def ask_held_out(self) -> None:
        """The held-out rows have come; a page that asks none has nothing to do."""

    def transcript(self, name: str) -> Transcript | None:
        """The column in which `name` answers."""
        places = [place for place, who in zip(PLACES, self.names, strict=True) if who == name]
        return self.query_one(f"#{places[0]}", Transcript) if places else None

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
                self.ask_held_out()
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
        self.keep(Exchange(uuid.uuid4().hex, asked.question, answers, asked.expected, dict(self.settings)))

    def paint_answers(self) -> None:
        if self.waiting is not None:
            for place in PLACES:
                self.query_one(f"#{place}", Transcript).paint()
