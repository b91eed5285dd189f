"""One line of the home page per run: its live state in words. Read in a thread; touches no screen."""

from __future__ import annotations

from dataclasses import dataclass

from engine.runs.process import liveness
from engine.runs.store import Run, list_runs, runs_root
from tui.steps.base import Option
from tui.steps.words import duration
from tui.text import clean

WORDS = {
    "starting": "starting", "running": "training", "stalled": "stalled", "stopped": "stopped, can be resumed",
    "failed": "failed", "finished": "finished", "lost": "ended without a word, can be resumed",
}  # fmt: skip
ACTIONS = {
    "finished": ("chat", "export", "clone", "delete"),
    "stopped": ("resume", "clone", "delete"),
    "lost": ("resume", "clone", "delete"),
    "failed": ("resume", "clone", "delete"),
}
GOOD = {"finished": True, "running": None, "starting": None, "stopped": None}


@dataclass(frozen=True)
class RunLine:
    """A run as the home page shows it. Compared by value, so that an unchanged list is not painted again."""

    run: Run
    state: str
    detail: str

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def actions(self) -> tuple[str, ...]:
        """What can be done with it now, besides looking at it."""
        return ACTIONS.get(self.state, ("clone",))

    def option(self) -> Option:
        """The entry of the list."""
        good = GOOD.get(self.state, False)
        return Option(self.name, self.name, self.detail, WORDS.get(self.state, self.state), good)


def read_lines() -> list[RunLine]:
    """Every run of the usual folder with its state, the newest first. Never raises for a broken run."""
    return [_line(run) for run in list_runs(runs_root())]


def _line(run: Run) -> RunLine:
    state = run.state()
    return RunLine(run, liveness(run).state, _detail(state))


def _detail(state: dict[str, object]) -> str:
    parts = []
    step, total = state.get("step"), state.get("total_steps")
    if isinstance(step, int) and isinstance(total, int) and total:
        parts.append(f"step {step:,} of {total:,}")
    for key, word in (("loss", "loss"), ("eval_loss", "evaluation loss")):
        value = state.get(key)
        if isinstance(value, int | float):
            parts.append(f"{word} {value:.3f}")
    remaining = state.get("eta_seconds")
    if isinstance(remaining, int | float) and remaining > 0:
        parts.append(f"about {duration(remaining)} left")
    return clean(", ".join(parts)) or "no step yet"
