"""The result of a run: a folder that other programs can open, whole or absent."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.runs.files import sync_directory
from engine.runs.store import Run
from engine.train.checkpoint import sync_tree

_STATE_FILES = {
    "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "trainer_state.json", "progress.json",
    "MANIFEST.json",
}  # fmt: skip


@dataclass(frozen=True)
class ResultFacts:
    """What `result.json` says. `template` is "model" or "plain"; `directory` is where the base model was; `labels`
    are those of a classification head, in the order of their numbers."""

    method: str
    base_source: str
    base_revision: str
    base_directory: str
    template: str
    format: str
    steps: int
    total_steps: int
    best_step: int = 0
    best_eval_loss: float | None = None
    objective: str = "sft"
    labels: tuple[str, ...] = ()
    ended_early: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "complete": self.steps >= self.total_steps or self.ended_early}


def write_result(run: Run, checkpoint: Path, tokenizer: Any, chat_template: str, facts: ResultFacts) -> Path:
    """Make `result/` from a checkpoint. An older result is replaced only when the new one is whole. Raises OSError.

    Weights are hard links to those of the checkpoint, so that this takes no room and no time.
    """
    staging = run.path / f".result-{secrets.token_hex(4)}"
    weights = staging / ("model" if facts.method == "full" else "adapter")
    weights.mkdir(parents=True, mode=0o700)
    try:
        for path in checkpoint.iterdir():
            if path.name not in _STATE_FILES and not path.name.startswith("rng_state"):
                _link(path, weights / path.name)
        _write_tokenizer(tokenizer, staging, chat_template)
        if facts.method == "full":  # a model folder is only complete with its tokenizer
            _write_tokenizer(tokenizer, weights, chat_template)
        (staging / "result.json").write_text(json.dumps(facts.as_dict(), indent=1), encoding="utf-8")
        sync_tree(staging)
        _replace(staging, run.result_dir)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_directory(run.path)
    return run.result_dir


def discard_staging(run: Run) -> None:
    """Remove what a killed engine left of a result; when it died between two renames, the old result comes back."""
    if not run.result_dir.exists():
        for old in run.path.glob(".result-old-*"):
            old.rename(run.result_dir)
            break
    for path in run.path.glob(".result-*"):
        shutil.rmtree(path, ignore_errors=True)


def _write_tokenizer(tokenizer: Any, directory: Path, chat_template: str) -> None:
    if chat_template:
        tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(directory)
    if chat_template:
        (directory / "chat_template.jinja").write_text(chat_template, encoding="utf-8")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _replace(staging: Path, final: Path) -> None:
    old = final.with_name(f".result-old-{secrets.token_hex(4)}")
    if final.exists():
        final.rename(old)
    staging.rename(final)
    shutil.rmtree(old, ignore_errors=True)
