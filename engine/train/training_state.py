"""What a checkpoint holds, written so that a run can go on as if it had never stopped.

Weights and optimizer are those after the last finished optimizer step. That holds in the middle of an accumulation
too: its micro-batches are simply done again, with the random state that was current when the step before it ended.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.train.randomness import RandomState
from engine.train.session import Progress

PROGRESS = "progress.json"
LOG_ENTRIES_KEPT = 1
"""transformers keeps every log line in its state and would write all of them into every checkpoint."""


class NotFinite(Exception):
    """The weights hold NaN or infinities; `name` is the first one."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Whole:
    """Weights and optimizer of a model that several processes hold in parts, put together in the host's memory."""

    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]


def write_training_state(
    trainer: Any, directory: Path, random_state: RandomState, progress: Progress, whole: Whole | None = None
) -> None:
    """Write everything that `trainer` needs to go on into the empty `directory`. Raises NotFinite and OSError.

    `whole` stands for what the trainer holds only a part of. No file holds a pickle but torch's own optimizer,
    schedule and random state, which are read with `weights_only`.
    """
    if whole is None:
        refuse_broken_weights(trainer.model)
        write_model(trainer.model, directory)
    else:
        _refuse_broken(whole.weights.items())
        write_model(trainer.model, directory, whole.weights)
    _write(trainer.optimizer.state_dict() if whole is None else whole.optimizer, directory / "optimizer.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch reminds of saving the optimizer, which we just did
        _write(trainer.lr_scheduler.state_dict(), directory / "scheduler.pt")
    scaler = getattr(trainer.accelerator, "scaler", None)
    if scaler is not None:
        _write(scaler.state_dict(), directory / "scaler.pt")
    _write(random_state, directory / "rng_state.pth")
    state = trainer.state
    del state.log_history[:-LOG_ENTRIES_KEPT]
    state.save_to_json(str(directory / "trainer_state.json"))
    (directory / PROGRESS).write_text(json.dumps(progress.as_dict(), indent=1))


def _write(document: Any, path: Path) -> None:
    """torch.save through a file of Python's: given a path, torch hides the reason when the disk refuses."""
    with path.open("wb") as stream:
        torch.save(document, stream)


def write_model(model: Any, directory: Path, weights: dict[str, torch.Tensor] | None = None) -> None:
    """Write the weights that training changes: the adapter, or the whole model. `weights` stand for what the model
    holds only a part of. Raises OSError."""
    instead = {} if weights is None else {"state_dict": weights}
    if hasattr(model, "peft_config"):
        # only the trained adapter: preference tuning may hold a copy of it as reference
        model.save_pretrained(directory, selected_adapters=["default"], save_embedding_layers=False, **instead)
        (directory / "README.md").unlink(missing_ok=True)
    else:
        model.save_pretrained(directory, **instead)


def read_progress(directory: Path) -> Progress:
    """The counts that a checkpoint holds."""
    document = json.loads((directory / PROGRESS).read_text())
    return Progress.from_dict(document if isinstance(document, dict) else {})


def refuse_broken_weights(model: torch.nn.Module) -> None:
    """Raises NotFinite when a trained weight is no number: such a checkpoint would be worse than none."""
    _refuse_broken((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def _refuse_broken(weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    for name, weight in weights:
        if not bool(torch.isfinite(weight).all()):
            raise NotFinite(name)


def state_bytes(trainer: Any) -> int:
    """About how large a checkpoint will be: trained weights, and the optimizer's two values for each of them."""
    eight_bit = "8bit" in str(trainer.args.optim)
    total = 0
    for weight in trainer.model.parameters():
        if weight.requires_grad:
            width = weight.element_size()
            beside = 2 if eight_bit else 2 * width
            if divided_by_deepspeed(trainer):  # its optimizer holds fp32, and a copy of weights that have 16 bits
                beside = 8 if width == 4 else 12
            total += getattr(weight, "ds_numel", weight.numel()) * (width + beside)
    if not hasattr(trainer.model, "peft_config"):  # buffers and tied weights are small
        total += 1 << 20
    return total


def divided_by_deepspeed(trainer: Any) -> bool:
    return hasattr(trainer, "divide")
