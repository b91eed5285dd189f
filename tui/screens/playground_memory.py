"""What the playground remembers: exchanges kept with the run, votes, and the questions asked before."""

from __future__ import annotations

from textual.widgets import Input

from engine.runs.store import Run
from tui.screens.playground_history import SAME, Exchange, read_history, remember, tally_words, vote
from tui.screens.playground_settings import settings_words
from tui.screens.playground_talk import PLACES, Talking
from tui.widgets.line import Line


class Remembering(Talking):
    """Keeps what was asked with the run, counts votes, and brings questions back."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.earlier = read_history(run)
        self.last = ""  # the exchange that a vote is for

    def keep(self, exchange: Exchange) -> None:
        """Write it to the run directory, and offer the vote."""
        self.earlier.append(exchange)
        self.last = exchange.id
        try:
            remember(self.run, exchange)
        except OSError as error:
            self.say(f"This was not kept with the run: {error.strerror}.", "warn")
            return
        self.say("F7 or F8 says which answer is better, F9 that both are alike. Ask again, or F3.", "dim")
        self.refresh_bindings()

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

    def action_recall(self, way: int) -> None:
        """Walk through the questions that were asked, the newest first."""
        prompt = self.query_one(Input)
        questions = list(dict.fromkeys(exchange.question for exchange in self.earlier))
        self._recalled = min(max(0, self._recalled - way), len(questions))
        prompt.value = questions[-self._recalled].replace("\n", " ") if self._recalled else ""
        prompt.cursor_position = len(prompt.value)

    def show_header(self) -> None:
        """The run, how answers are drawn, and the votes so far."""
        pieces = [
            (f" {self.run.name}", "strong"),
            ("  playground", "key"),
            (f"  {settings_words(self.settings)}", "dim"),
        ]
        votes = tally_words(self.earlier)
        self.query_one("#header", Line).put([*pieces, (f"  {votes}", "good")] if votes else pieces)
