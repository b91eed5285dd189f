"""TRL's trainer as its documentation shows it, for comparison: own checkpoints, own resuming."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.rig import Child, Workshop, fork

_MARK = "saving"


def train_in_child(workshop: Workshop, place: Path, method: str, steps: int) -> Child:
    """Train in `place`, going on from its last checkpoint when there is one; writes a digest of the weights."""
    place.mkdir(parents=True, exist_ok=True)
    return fork(lambda say: _train(workshop, place, method, steps, say), place / "log")


def was_saving(place: Path) -> bool:
    """Whether it was killed between the beginning and the end of a save."""
    return (place / _MARK).exists()


def last_error(place: Path) -> str:
    """The last line of the log, without paths."""
    lines = [line for line in (place / "log").read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].replace(str(place), "")[:80] if lines else "no log"


def _train(workshop: Workshop, place: Path, method: str, steps: int, say: Callable[[], None]) -> int:
    import torch
    from transformers.trainer_utils import get_last_checkpoint

    torch.set_num_threads(1)
    trainer = _trainer(workshop, place, method, steps, say)
    (place / _MARK).unlink(missing_ok=True)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(place)))
    digest = hashlib.sha256()
    for name, value in sorted(trainer.model.state_dict().items()):
        digest.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    (place / "weights").write_text(digest.hexdigest())
    return 0


def _trainer(workshop: Workshop, place: Path, method: str, steps: int, say: Callable[[], None]) -> Any:
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import set_seed
    from trl import SFTConfig, SFTTrainer

    class Announced(SFTTrainer):  # type: ignore[misc]
        def _save_checkpoint(self, *arguments: Any) -> None:
            (place / _MARK).touch()
            say()
            super()._save_checkpoint(*arguments)
            (place / _MARK).unlink()

    set_seed(42)
    adapter = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM")
    arguments = SFTConfig(
        output_dir=str(place), max_steps=steps, save_strategy="steps", save_steps=3, save_total_limit=2,
        per_device_train_batch_size=3, gradient_accumulation_steps=2, learning_rate=5e-3, logging_steps=1,
        report_to="none", disable_tqdm=True, use_cpu=True, bf16=False, seed=42, max_length=128,
        activation_checkpointing=False, dataloader_num_workers=0,
    )  # fmt: skip
    rows = load_dataset("json", data_files=str(workshop.rows), split="train", cache_dir=str(place.parent / "cache"))
    return Announced(
        model=str(workshop.model), args=arguments, train_dataset=rows, peft_config=adapter if method == "lora" else None
    )
