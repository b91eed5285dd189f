"""What the parts of a run share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.data.prepared import PreparedData
from engine.models.find import ModelFiles
from engine.recipe import Recipe
from engine.runs.store import Run
from engine.train.checkpoint import Checkpoint
from engine.train.health import EvaluationWatch, LossWatch
from engine.train.orders import Orders
from engine.train.pulse import Pulse
from engine.train.reporter import Reporter
from engine.train.schedule import Schedule
from engine.train.world import ALONE, World


@dataclass
class Progress:
    """What is counted over the whole run, and so is kept in every checkpoint."""

    tokens: int = 0
    trained_tokens: int = 0
    elapsed_seconds: float = 0.0
    parts: int = 1
    best_step: int = 0
    best_loss: float | None = None
    stale: int = 0
    lowest_loss: float | None = None
    general_start: float | None = None
    """The loss on general text before the first step."""

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Progress:
        """Rebuild it; fields of other versions are passed over."""
        known = cls()
        for name in vars(known):
            if name in fields:
                setattr(known, name, fields[name])
        return known


@dataclass(frozen=True)
class Engine:
    """The process at work: what it says, what others want from it, and its second thread."""

    reporter: Reporter
    orders: Orders
    pulse: Pulse
    restarts: int = 0
    """How often the engine has replaced itself by a fresh process since somebody started it."""
    world: World = ALONE
    """The processes that share this run; this one alone when there is one."""


class Restart(Exception):
    """Memory is so used up that only a fresh process helps; everything is saved. The argument says where it was."""


@dataclass(frozen=True)
class SamplePrompt:
    """A prompt as the model sees it, and the answer that the data holds for it."""

    text: str
    input_ids: list[int]
    expected: str
    expected_tokens: int


@dataclass(frozen=True)
class Template:
    """How conversations are written: "model" or "plain", the Jinja text, and the tokens that end an answer."""

    kind: str
    text: str
    stop_ids: tuple[int, ...]


@dataclass(frozen=True)
class Inputs:
    """What a run starts from. `directory` holds the base model, `start` is the checkpoint to go on from."""

    run: Run
    recipe: Recipe
    data: PreparedData
    files: ModelFiles
    directory: Path
    start: Checkpoint | None
    prompts: list[SamplePrompt]
    template: Template


@dataclass
class Session:
    """One engine at work on one run."""

    run: Run
    recipe: Recipe
    schedule: Schedule
    engine: Engine
    facts: dict[str, Any]
    """What identifies recipe, data, model and versions; goes into every manifest and is compared on resume."""
    baseline_bytes: int = 0
    """Resident memory before the model was loaded, where the device is the CPU: libraries, no training."""
    progress: Progress = field(default_factory=Progress)
    losses: LossWatch = field(default_factory=LossWatch)
    evaluations: EvaluationWatch = field(default_factory=EvaluationWatch)

    @property
    def reporter(self) -> Reporter:
        return self.engine.reporter

    @property
    def orders(self) -> Orders:
        return self.engine.orders

    @property
    def world(self) -> World:
        return self.engine.world

    @property
    def sharded(self) -> bool:
        """Whether the processes of this run hold a part of the model each."""
        return self.world.size > 1 and self.recipe.training.sharding != "none"
