"""One line of the home page per run: its live state in words. Read in a thread; touches no screen."""

from __future__ import annotations

from dataclasses import dataclass

from engine.places import runs_root
from engine.runs.liveness import Liveness, liveness
from engine.runs.recover import checkpoint_step
from engine.runs.store import Run, list_runs
from tui.steps.option import Option
from tui.steps.words import duration
from tui.text import clean

WORDS = {
    "starting": "starting", "running": "training", "stalled": "stalled", "stopped": "stopped, can be resumed",
    "failed": "failed", "finished": "finished", "lost": "lost, can be resumed", "elsewhere": "on another machine",
    "new": "not started", "queued": "waits in the queue",
}  # fmt: skip
ACTIONS = {
    "finished": ("chat", "evaluate", "export", "clone", "delete"),
    "stopped": ("resume", "clone", "delete"),
    "lost": ("resume", "clone", "delete"),
    "failed": ("resume", "clone", "delete"),
    "new": ("resume", "clone", "delete"),
}
GOOD = {"finished": True, "running": None, "starting": None, "stopped": None, "queued": None}


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
    def lost(self) -> bool:
        """Whether its engine ended without a last word, so that somebody has to decide what becomes of it."""
        return self.state == "lost"

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
    state, now = run.state(), liveness(run)
    if now.state == "queued":
        return RunLine(run, now.state, clean(now.detail))
    return RunLine(run, now.state, clean(lost_words(run, now)) if now.state == "lost" else _detail(state))


def lost_words(run: Run, now: Liveness) -> str:
    """What happened to a lost run, and where it would go on."""
    step = checkpoint_step(run)
    where = f"It can go on from step {step:,}." if step else "It has no checkpoint yet, so it would begin again."
    return f"{now.detail} {where}"


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
