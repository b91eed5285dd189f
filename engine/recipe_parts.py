"""The sections of a recipe, one record each; what a key means stands in `engine.recipe_keys`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Method = Literal["full", "lora", "qlora"]
Objective = Literal["sft", "dpo", "kto", "orpo", "classify"]


@dataclass(frozen=True)
class ModelPart:
    source: str
    revision: str


@dataclass(frozen=True)
class DataPart:
    source: str
    format: str
    split: str
    config: str
    revision: str
    validation: str
    encoding: str
    skip_bad_rows: bool
    map: Mapping[str, str]
    template: str
    more: list[str] = field(default_factory=list)
    max_rows: int = 0


@dataclass(frozen=True)
class MethodPart:
    name: Method
    rank: int
    alpha: int
    dropout: float
    target_modules: list[str]
    layers: str = ""
    dora: bool = False
    rslora: bool = False
    train_embeddings: bool = False
    backend: str = "trl"
    objective: Objective = "sft"
    beta: float = 0.1
    reference: str = "beside"
    desirable_weight: float = 0.0


@dataclass(frozen=True)
class TrainingPart:
    epochs: float
    max_steps: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    sequence_length: int
    packing: bool
    learning_rate: float
    scheduler: str
    warmup_ratio: float
    optimizer: str
    weight_decay: float
    max_grad_norm: float
    gradient_checkpointing: bool
    precision: str
    seed: int
    activation_offloading: bool = False
    neftune_alpha: float = 0.0
    devices: int = 1
    sharding: str = "none"

    @property
    def effective_batch(self) -> int:
        """Rows per optimizer step."""
        return self.micro_batch_size * self.gradient_accumulation_steps


@dataclass(frozen=True)
class EvaluationPart:
    held_out_rows: int
    every_steps: int
    samples: int
    held_out_share: float = 0.0
    patience: int = 0
    general: str = ""


@dataclass(frozen=True)
class CheckpointsPart:
    every_steps: int
    keep: int


@dataclass(frozen=True)
class TrackingPart:
    to: list[str] = field(default_factory=list)
    project: str = "tunewright"


@dataclass(frozen=True)
class RunPart:
    name: str
    directory: str
