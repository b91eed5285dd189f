"""What identifies a run: recipe, data, model and library versions. A run goes on only where these are the same."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.recipe import Recipe
from engine.recipe_keys import KEYS
from engine.runs.files import write_atomic
from engine.runs.store import Run

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets", "tokenizers",
             "safetensors", "deepspeed")  # fmt: skip

_DOES_NOT_MATTER = ("run.", "checkpoints.", "evaluation.every_steps", "evaluation.samples", "model.source",
                    "model.revision", "data.source", "tracking.", "evaluation.general", "evaluation.patience",
                    "data.more", "training.devices", "training.sharding")  # fmt: skip
"""Keys that may change between two engines of a run. Where model and data lie does not matter, what they hold does.
On how many devices a step is computed changes only the last digits of its sums: a checkpoint holds whole weights."""

SAMPLED_BLOCKS = 16
BLOCK_BYTES = 65_536


def make_facts(recipe: Recipe, data_fingerprint: str, model_directory: Path) -> dict[str, Any]:
    """The facts of this engine, in plain JSON."""
    values = {key: answer.value for key, answer in recipe.answers.items() if not key.startswith(_DOES_NOT_MATTER)}
    return {
        "recipe": values, "data": data_fingerprint, "model": fingerprint_model(model_directory),
        "versions": library_versions(),
    }  # fmt: skip


def refuse_changed(before: dict[str, Any], now: dict[str, Any], where: str) -> list[str]:
    """Compare the facts of a checkpoint with those of this engine.

    Raises UserError when going on would train something else than was begun; returns sentences about smaller changes.
    """
    changes = _recipe_changes(before.get("recipe", {}), now["recipe"])
    named = {"data": "The rows have", "model": "The base model has"}
    changes += [f"{words} changed." for name, words in named.items() if before.get(name) != now[name]]
    foreign = [line for line in _version_changes(before, now) if line.startswith("!")]
    changes += [line[1:] for line in foreign]
    if changes:
        fix = "Put back what was changed, or start a new run: tunewright train."
        raise UserError("The run cannot go on, since it is not the same any more. " + " ".join(changes), where, fix)
    return [line for line in _version_changes(before, now) if not line.startswith("!")]


def _recipe_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    usual = {name: key.default for name, key in KEYS.items()}  # a key that did not exist then
    changed = sorted(name for name in {*before, *now} if before.get(name, usual.get(name)) != now.get(name))
    return [f"{name} was {before.get(name)!r} and is {now.get(name)!r}." for name in changed]


def _version_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One sentence for each library that changed; those that change the first part of their version begin with `!`."""
    lines = []
    old, new = before.get("versions", {}), now["versions"]
    for name in ("torch", "transformers", "trl", "peft", "bitsandbytes"):
        if old.get(name) != new.get(name):
            other_major = str(old.get(name)).split(".")[0] != str(new.get(name)).split(".")[0]
            lines.append(f"{'!' * other_major}{name} was {old.get(name)} and is {new.get(name)}.")
    return lines


def fingerprint_model(directory: Path) -> str:
    """sha256 (hex) of the configuration, and of names, sizes and sampled blocks of the weights.

    Reading all of a large model would take minutes; sixteen blocks of each file tell two models apart.
    """
    digest = hashlib.sha256()
    for path in sorted([*directory.glob("*.safetensors"), directory / "config.json"]):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size};".encode())
        with path.open("rb") as stream:
            for block in range(SAMPLED_BLOCKS):
                stream.seek(max(0, size - BLOCK_BYTES) * block // (SAMPLED_BLOCKS - 1))
                digest.update(stream.read(BLOCK_BYTES))
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of what training depends on; an absent library has an empty one."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def write_environment(run: Run, device: Any, threads: int) -> None:
    """Write `environment.json`: what support wants to know. Holds no environment variable and no token."""
    import torch

    document: dict[str, Any] = {
        "written": time.time(), "python": platform.python_version(), "system": platform.platform(),
        "machine": platform.machine(), "cpus": os.cpu_count(), "threads": threads, "versions": library_versions(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]], "device": str(device),
    }  # fmt: skip
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        document["gpu"] = {"name": facts.name, "total_bytes": facts.total_memory, "uuid": str(facts.uuid),
                           "capability": list(torch.cuda.get_device_capability(device)),
                           "cuda": torch.version.cuda}  # fmt: skip
    write_atomic(run.environment_path, json.dumps(document, indent=1))
