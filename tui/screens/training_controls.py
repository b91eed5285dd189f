"""The keys of the training screen that act on the run: each says its consequence, and waits for the engine's answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.runs.control import request
from engine.runs.history import History
from engine.runs.resume import resume_run
from engine.runs.slurm import cancel, job_of
from tui.screens.background import in_thread
from tui.screens.question import QuestionScreen
from tui.screens.training_ways import Ways
from tui.text import one_line

if TYPE_CHECKING:
    from tui.watch.feed import Feed
    from tui.watch.telemetry import Reading

PATIENCE_SECONDS = 20.0
"""After this long without an answer the screen says so; a step of a large model can take that long."""


class Controls(Ways):
    """Stop, save, pause, go on. The training screen brings the run and its history."""

    feed: Feed
    reading: Reading | None

    def __init__(self) -> None:
        super().__init__()
        self.rings = False
        self._asked: dict[str, tuple[str, float]] = {}  # identity -> what was asked, and when

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that make no sense now are not shown."""
        ended = self.closed
        has_result = ended and self.run.result_dir.is_dir()
        if action in {"stop", "detach", "save_now", "evaluate_now", "pause", "ring"}:
            return not ended
        if action in {"playground", "evaluation", "export"}:
            return has_result
        if action == "resume":
            reason = (self.feed.history.ended or {}).get("reason")
            return ended and reason != "finished"
        return True

    def action_stop(self) -> None:
        """Ask before asking the engine, or before taking a job that waits out of the queue."""
        if self.reading is not None and self.reading.liveness.state == "queued":
            question = f"Take SLURM job {job_of(self.run)} out of the queue?"
            consequence = (
                "No engine works on this run. It can be handed in again at any time, and goes on from where it is."
            )
            self.app.push_screen(QuestionScreen(question, consequence, "take it out", "keep waiting"), self._take_out)
            return
        question = "Stop this run and save it?"
        consequence = (
            "The engine finishes the step it is at, writes a checkpoint and ends. "
            "Nothing is lost: you can go on from there at any time."
        )
        self.app.push_screen(
            QuestionScreen(question, consequence, "stop and save", "keep training"), self._stop_if_confirmed
        )

    async def _take_out(self, yes: bool | None) -> None:
        if yes:
            taken = await in_thread(lambda: cancel(job_of(self.run)))
            said = ("It was taken out of the queue.", "good") if taken else ("SLURM did not take it out.", "bad")
            self.say(*said)

    def action_pause(self) -> None:
        """Ask before asking the engine."""
        question = "Pause this run?"
        consequence = (
            "The engine writes a checkpoint and ends, so that the GPU is free for something else. "
            "Press r here, or use tunewright resume, to go on from there."
        )
        self.app.push_screen(QuestionScreen(question, consequence, "pause", "keep training"), self._pause_if_confirmed)

    def _pause_if_confirmed(self, yes: bool | None) -> None:
        if yes:
            self.ask_engine("pause", "to pause")

    def action_save_now(self) -> None:
        """Have a checkpoint written now."""
        self.ask_engine("save", "to save a checkpoint")

    def action_evaluate_now(self) -> None:
        """Have the held-out loss measured now."""
        self.ask_engine("evaluate", "to evaluate")

    def action_ring(self) -> None:
        """Ring when the run ends, or not."""
        self.rings = not self.rings
        self.say("The terminal rings when the run ends." if self.rings else "It stays silent at the end.", "dim")

    def ring_if_wanted(self) -> None:
        """The bell, and a notice for terminals that show one (OSC 9: iTerm2, Windows Terminal, kitty, foot; OSC 777:
        urxvt, Konsole and others built on VTE). A terminal shows nothing for the one that it does not know."""
        if not self.rings:
            return
        reason = (self.feed.history.ended or {}).get("reason", "ended")
        driver: Any = getattr(self.app, "_driver", None)
        if driver is not None and not self.app.is_headless:
            words = f"{one_line(self.run.name, 60)} {one_line(str(reason), 20)}".replace(";", ",")
            driver.write(f"\x1b]9;Tunewright: {words}\x1b\\\x1b]777;notify;Tunewright;{words}\x1b\\")
        self.app.bell()

    def forget_promises(self) -> None:
        """The run has ended, so what the engine was going to do is done or will not be; the header says which."""
        if not self._asked:
            self.say("", "plain")

    def _stop_if_confirmed(self, yes: bool | None) -> None:
        if yes:
            self.ask_engine("stop", "to stop and save")

    def ask_engine(self, action: str, words: str) -> None:
        """Leave a request in the run directory; `note_answers` says what the engine answers."""
        try:
            identity = request(self.run, action)
        except UserError as error:
            self.say(f"{error.what} {error.fix}", "bad")
            return
        self._asked[identity] = (words, time.monotonic())
        self.say(f"Asked the engine {words}. Waiting for its answer.", "key")

    def note_answers(self, history: History) -> None:
        """Say what the engine answered, or that it has not answered for long."""
        for identity, (words, since) in list(self._asked.items()):
            answer = history.controls.get(identity)
            if answer is not None:
                del self._asked[identity]
                self._say_answer(words, answer)
            elif history.ended is not None and history.revision:
                del self._asked[identity]
                self.say("The run has ended.", "plain")
            elif time.monotonic() - since > PATIENCE_SECONDS:
                waited = f"{time.monotonic() - since:.0f} s"
                self.say(f"Asked the engine {words} {waited} ago. It is busy and answers after its step.", "warn")

    def _say_answer(self, words: str, answer: dict[str, Any]) -> None:
        accepted = bool(answer.get("accepted", True))
        detail = f": {answer['detail']}" if answer.get("detail") else "."
        taken = "The engine will do it" if accepted else "The engine refused"
        self.say(f"Asked {words}. {taken}{detail}", "good" if accepted else "warn")

    async def action_resume(self) -> None:
        """Start the engine again on this run, in a thread, since it takes its lock first; or hand it in to SLURM."""
        self.say("Going on from the newest checkpoint.", "key")
        try:
            resumed = await in_thread(lambda: resume_run(self.run))
        except UserError as error:
            self.say(f"{error.what} {error.fix}", "bad")
            return
        self.reading = None
        self.say(resumed.sentence, "good")
