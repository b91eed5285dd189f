"""Unsloth's own environment: where it is, how it is made, and how an engine is started in it.

Unsloth pins older transformers, trl and datasets than this program, so it has a virtual environment and each run a
process of its own there. The engine's code is ours; only the libraries are that environment's.
"""

from __future__ import annotations

import os
from pathlib import Path

import engine
from engine.errors import UserError
from engine.places import home_directory
from engine.recipe import Recipe

VARIABLE = "TUNEWRIGHT_UNSLOTH_PYTHON"
ENGINE_NEEDS = ("psutil", "nvidia-ml-py", "tomlkit", "jinja2", "charset-normalizer", "zstandard", "pyyaml")
"""What our engine needs there beside what Unsloth brings."""


def unsloth_python() -> Path | None:
    """The interpreter that has Unsloth: $TUNEWRIGHT_UNSLOTH_PYTHON, else the one below the program's folder, if any."""
    given = os.environ.get(VARIABLE, "")
    place = Path(given).expanduser() if given else home_directory() / "unsloth" / "bin" / "python"
    return place if place.exists() else None


def make_commands() -> list[str]:
    """The commands that make the environment where it is looked for."""
    folder = home_directory() / "unsloth"
    return [f"python3 -m venv {folder}", f"{folder}/bin/pip install unsloth {' '.join(ENGINE_NEEDS)}"]


def check_backend(recipe: Recipe) -> None:
    """UserError when the recipe asks for Unsloth and it is not there, or for what this way of using it cannot do."""
    if recipe.method.backend != "unsloth":
        return
    method, fix = recipe.method, "Use --set method.backend=trl."
    refused = [
        words for words, wrong in (
            (f"the objective {method.objective}", method.objective != "sft"), ("DoRA", method.dora),
            ("trained embeddings", method.train_embeddings), ("chosen layers", bool(method.layers)),
            ("several GPUs", recipe.training.devices > 1),
        ) if wrong
    ]  # fmt: skip
    if refused:
        raise UserError(f"Unsloth is used here without {', '.join(refused)}.", "method.backend", fix)
    if unsloth_python() is None:
        what = "Unsloth is not installed: it needs an environment of its own."
        where = os.environ.get(VARIABLE) or str(home_directory() / "unsloth")
        raise UserError(what, where, f"Make it: {' && '.join(make_commands())}. Or {fix[0].lower()}{fix[1:]}")


def interpreter(recipe: Recipe) -> str | None:
    """The interpreter that carries out `recipe`, None for this one. Raises UserError as `check_backend` does."""
    check_backend(recipe)
    return str(unsloth_python()) if recipe.method.backend == "unsloth" else None


def import_path() -> str:
    """A folder from which the other environment imports our engine and nothing else of ours.

    An installed copy lies among libraries that would hide Unsloth's own, so it is linked into a folder of its own.
    """
    home = Path(engine.__file__).parent.parent
    if "site-packages" not in home.parts:
        return str(home)
    place = home_directory() / "unsloth-path"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("engine", "assets"):
        link = place / name
        if not link.is_symlink() or link.resolve() != (home / name).resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(home / name)
    return str(place)
