"""The playground's lists: who answers in which column, the settings, and what was asked before."""

from __future__ import annotations

from typing import Any

from textual.widgets import Input

from engine.runs.store import list_runs
from tui.screens.pick import PickScreen
from tui.screens.playground_history import Exchange
from tui.screens.playground_memory import Remembering
from tui.screens.playground_sides import TITLES, Candidate, candidates
from tui.screens.playground_talk import PLACES
from tui.screens.sampling import SamplingScreen
from tui.steps.option import Option
from tui.text import one_line
from tui.widgets.transcript import Transcript

PLACE_WORDS = {"left": "The first answer", "right": "The second answer"}


class Models(Remembering):
    """What opens over the playground."""

    _wanted: tuple[str, Candidate] | None = None

    def action_models(self) -> None:
        """First which column, then who answers there."""
        if not self.ready or self.waiting is not None or self.pending:
            self.say("Not now: wait for the model first.", "warn")
            return
        options = [Option(place, PLACE_WORDS[place], f"Now: {TITLES.get(name, name)}.")
                   for place, name in zip(PLACES, self.names, strict=True)]  # fmt: skip

        def chosen(place: str | None) -> None:
            if place:
                self._pick_model(place)

        self.app.push_screen(PickScreen("Which answer shall come from another model?", options, "right"), chosen)

    def _pick_model(self, place: str) -> None:
        others = list_runs(self.run.path.parent)
        found = {each.name: each for each in candidates(self.run, self.loaded, others)}

        def chosen(name: str | None) -> None:
            if name in found:
                self._use(place, found[name])

        options = [each.option() for each in found.values()]
        self.app.push_screen(PickScreen(f"{PLACE_WORDS[place]} comes from", options), chosen)

    def _use(self, place: str, candidate: Candidate) -> None:
        if not candidate.request:
            self._put(place, candidate.name)
            return
        checkpoint = (candidate.request.get("add") or {}).get("checkpoint")
        if checkpoint and not self.one_model:
            self.say(f"Loading {checkpoint} in place of the result.", "key")
            self.query_one(f"#{PLACES[self.names.index('tuned')]}", Transcript).call(str(checkpoint))
            self.restart(str(checkpoint))
            return
        self._wanted = (place, candidate)
        self.pending = candidate.title
        self.say(f"Loading {candidate.title}.", "key")
        self.run_worker(self.job.send(candidate.request), group="send")

    def adapters_loaded(self, names: list[str]) -> None:
        """The job has another adapter; it answers in the column that it was asked for."""
        self.pending, self.loaded = "", names
        if self._wanted is not None and self._wanted[1].name in names:
            self._put(self._wanted[0], self._wanted[1].name)
        self._wanted = None

    def _put(self, place: str, name: str) -> None:
        here, there = PLACES.index(place), 1 - PLACES.index(place)
        if self.names[there] == name:  # both columns would say the same, so they change places
            self.names[there] = self.names[here]
            self.query_one(f"#{PLACES[there]}", Transcript).call(TITLES.get(self.names[there], self.names[there]))
        self.names[here] = name
        self.query_one(f"#{place}", Transcript).call(TITLES.get(name, name))
        self.say(f"{PLACE_WORDS[place]} now comes from {TITLES.get(name, name)}.", "good")

    def action_settings(self) -> None:
        """Set how answers are drawn."""

        def taken(settings: dict[str, Any] | None) -> None:
            if settings is not None:
                self.settings = settings
                self.show_header()

        self.app.push_screen(SamplingScreen(self.settings), taken)

    def action_earlier(self) -> None:
        """Show what was asked before; the question that is taken stands in the prompt."""
        if not self.earlier:
            self.say("Nothing was asked yet.", "dim")
            return
        newest = list(reversed(self.earlier))
        marks = [f"better: {each.vote}" if each.vote else "" for each in newest]
        options = [
            Option(str(place), one_line(each.question, 70), answers_words(each), marks[place])
            for place, each in enumerate(newest)
        ]

        def taken(place: str | None) -> None:
            if place is not None:
                prompt = self.query_one("#prompt", Input)
                prompt.value = newest[int(place)].question.replace("\n", " ")
                prompt.focus()

        self.app.push_screen(PickScreen("Asked before, the newest first", options), taken)


def answers_words(exchange: Exchange) -> str:
    """Who answered what, in one line."""
    return "; ".join(f"{name}: {one_line(text, 60)}" for name, text in exchange.answers.items())
