"""Taking a run away as one readable Python script that needs nothing of this program."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.data.prepare import load_examples
from engine.data.render import Renderer
from engine.data.rendered import Rendered
from engine.emit import Emit
from engine.recipe import Recipe
from engine.runs.store import Run
from engine.train.schedule import make_schedule
from engine.use.script_pieces import script_of
from engine.use.script_rows import holds_ids, script_rows, values_of_rows
from engine.use.staging import MARK, staged

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes")
_SCHEDULERS = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def export_script(run: Run, base: Path, base_source: str, out: Path, emit: Emit) -> dict[str, Any]:
    """Write train.py, requirements.txt, rows.jsonl and held_out.jsonl to `out`.

    The rows are those of the recipe, rendered with the base model's own files in `base`; every row is written as text
    when that gives the very same tokens and labels, else as token ids. Returns {"out", "script", "rows", "held_out",
    "rows_as_ids", "steps", "notes"}. Raises UserError.
    """
    recipe = run.recipe()
    emit({"progress": {"phase": "reading data", "detail": recipe.data.source}})
    prepared = load_examples(recipe, base)
    try:
        lines = script_rows(prepared, recipe)
        pad = _pad_token(prepared.renderer)
    finally:
        prepared.renderer.close()
    schedule = make_schedule(recipe, _sequences(prepared.train, recipe), len(prepared.held_out))
    with staged(out) as stage:
        for name, rows in lines.items():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (stage / f"{name}.jsonl").write_text(text, encoding="utf-8")
        values = _values(run.name, recipe, base_source, pad, schedule.total_steps, schedule.warmup_steps)
        values |= values_of_rows(prepared, recipe)
        (stage / "train.py").write_text(fill(script_of(recipe), values), encoding="utf-8")
        (stage / "requirements.txt").write_text(_requirements(), encoding="utf-8")
        (stage / MARK).write_text(json.dumps({"kind": "script", "run": run.name}) + "\n", encoding="utf-8")
    as_ids = sum(holds_ids(row) for rows in lines.values() for row in rows)
    notes = ["rows.jsonl and held_out.jsonl hold your data. Look at them before you give the folder away."]
    return {
        "to": "script", "out": str(out), "script": str(out / "train.py"),
        "requirements": str(out / "requirements.txt"), "commands": script_commands(out), "rows": len(lines["rows"]),
        "held_out": len(lines["held_out"]), "rows_as_ids": as_ids, "steps": schedule.total_steps, "notes": notes,
    }  # fmt: skip


def script_commands(out: Path) -> list[list[str]]:
    """What to type to repeat the run somewhere else."""
    return [["pip", "install", "-r", str(out / "requirements.txt")], ["python", str(out / "train.py")]]


def _sequences(rows: Sequence[Rendered], recipe: Recipe) -> int:
    """How many sequences an epoch has: rows, or packs of rows."""
    if not recipe.training.packing:
        return len(rows)
    from engine.train.dataset import make_dataset

    return len(make_dataset(rows, recipe.training))


def _pad_token(renderer: Renderer) -> str:
    """The padding token that training chose for this tokenizer."""
    from engine.train.load import load_tokenizer

    return str(load_tokenizer(renderer.tokenizer.directory).pad_token)


def _values(name: str, recipe: Recipe, source: str, pad: str, steps: int, warmup: int) -> dict[str, Any]:
    method, training = recipe.method, recipe.training
    targets = method.target_modules
    return {
        "TITLE": Literal(name), "MODEL": source, "REVISION": recipe.model.revision or None, "METHOD": method.name,
        "PRECISION": training.precision, "SEQUENCE_LENGTH": training.sequence_length, "PACKING": training.packing,
        "SEED": training.seed, "RANK": method.rank, "ALPHA": method.alpha, "DROPOUT": method.dropout,
        "TARGETS": "all-linear" if targets == ["all-linear"] else targets, "PAD": pad, "STEPS": steps,
        "MICRO_BATCH": training.micro_batch_size, "ACCUMULATION": training.gradient_accumulation_steps,
        "RATE": training.learning_rate, "SCHEDULER": _SCHEDULERS[training.scheduler], "WARMUP": warmup,
        "OPTIMIZER": training.optimizer, "DECAY": training.weight_decay, "CLIP": training.max_grad_norm,
        "LAYERS": method.layers, "DORA": method.dora, "RSLORA": method.rslora, "EMBEDDINGS": method.train_embeddings,
        "NOISE": training.neftune_alpha or None, "OFFLOADING": training.activation_offloading,
        "BETA": method.beta,
        "CHECKPOINTING": Literal(_checkpointing(training.gradient_checkpointing)),
    }  # fmt: skip


class Literal(str):
    """Text that is put into the script as it stands."""


def fill(text: str, values: dict[str, Any]) -> str:
    """Put values into the script: Python literals, so that no value can become code."""

    def one(found: re.Match[str]) -> str:
        value = values[found.group(1)]
        return str(value) if isinstance(value, Literal) else repr(value)

    return re.sub(r"@([A-Z_]+)@", one, text)


def _checkpointing(wanted: bool) -> str:
    """Gradient checkpointing under the name that the installed transformers uses."""
    from trl import SFTConfig

    names = {field.name for field in dataclasses.fields(SFTConfig)}
    name = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    return f'{name}=True,\n        {name}_kwargs={{"use_reentrant": False}}' if wanted else f"{name}=False"


def _requirements() -> str:
    """The versions that are installed here, since other versions may count otherwise."""
    lines = []
    for name in PACKAGES:
        version = importlib.metadata.version(name).partition("+")[0]
        lines.append(f"{name}=={version}")
    return "\n".join(lines) + "\n"
