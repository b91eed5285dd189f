"""Who may answer in the playground: base, tuned, checkpoints of the run, results of other runs, and mixes. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.runs.store import Run
from tui.steps.option import Option

TITLES = {"base": "Base model", "tuned": "Tuned model"}
MIX = "mix"


@dataclass(frozen=True)
class Candidate:
    """Somebody who can answer. `request` makes the job load it; empty when it is loaded."""

    name: str
    title: str
    text: str
    request: dict[str, Any]

    def option(self) -> Option:
        """Its entry in a list."""
        return Option(self.name, self.title, self.text, "" if self.request else "loaded", None)


def side_name(text: str) -> str:
    """A name that the job takes for an adapter, made from the name of a run or a checkpoint."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:32] or "other"


def candidates(run: Run, loaded: Sequence[str], others: Sequence[Run]) -> list[Candidate]:
    """Everybody, those that are loaded first. Whether an adapter fits this base, the job says when it is asked."""
    found = [Candidate(name, TITLES.get(name, name), _text(name), {}) for name in loaded]
    names = set(loaded)
    for path in sorted(run.checkpoints_dir.glob("step-*"), reverse=True):
        if path.is_dir() and (name := side_name(path.name)) not in names:
            found.append(Candidate(name, path.name, "A checkpoint of this run.",
                                   {"add": {"name": name, "checkpoint": path.name}}))  # fmt: skip
    for other in others:
        if other.name != run.name and (name := side_name(other.name)) not in names:
            found.append(Candidate(name, other.name, "The result of another run, if it has the same base model.",
                                   {"add": {"name": name, "run": str(other.path)}}))  # fmt: skip
    adapters = [name for name in loaded if name not in {"base", MIX}]
    if len(adapters) > 1 and MIX not in names:
        weights = {name: round(1 / len(adapters), 4) for name in adapters}
        text = f"One adapter from {', '.join(adapters)}, in equal parts."
        found.append(
            Candidate(MIX, "A mix of the loaded adapters", text, {"combine": {"name": MIX, "weights": weights}})
        )
    return found


def _text(name: str) -> str:
    return {"base": "As it was before training.", "tuned": "The result of this run.",
            MIX: "The mix of adapters."}.get(name, "An adapter that was added.")  # fmt: skip
