"""Run directories: where they are, how they are made, found and opened."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.places import runs_root
from engine.recipe import Answer, Recipe
from engine.runs.files import read_json, write_atomic
from engine.runs.last_words import snapshot_of_events
from engine.runs.local_paths import absolute_paths

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Run:
    """One run directory. Paths only; nothing is read before it is asked for."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def word(self) -> str:
        """What a person types in a shell for this run: its name, or its path where the name would not find it."""
        return shlex.quote(self.name if self.path.parent == runs_root() else str(self.path))

    @property
    def recipe_path(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def environment_path(self) -> Path:
        return self.path / "environment.json"

    @property
    def lock_path(self) -> Path:
        return self.path / "engine.lock"

    @property
    def state_path(self) -> Path:
        return self.path / "state.json"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log_path(self) -> Path:
        return self.path / "engine.log"

    @property
    def control_dir(self) -> Path:
        return self.path / "control"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    @property
    def result_dir(self) -> Path:
        return self.path / "result"

    @property
    def exports_dir(self) -> Path:
        return self.path / "exports"

    def recipe(self) -> Recipe:
        """The recipe as it was started. Raises UserError."""
        return Recipe.load(self.recipe_path)

    def state(self) -> dict[str, Any]:
        """The newest snapshot that the engine wrote, or what the events say where it is damaged; empty before both."""
        return read_json(self.state_path) or snapshot_of_events(self.events_path)


def check_name(name: str) -> str:
    """Return `name` when a run may be called so. Raises UserError."""
    if _NAME.fullmatch(name):
        return name
    fix = "Use up to 64 small letters, digits, dots, dashes and underscores, and start with a letter or digit."
    raise UserError(f"{name!r} cannot be the name of a run.", "run.name", fix)


def fresh_name(root: Path, stem: str) -> str:
    """A name made from `stem` that no run below `root` has yet."""
    base = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:48] or "run"
    taken = {path.name for path in root.iterdir()} if root.is_dir() else set()
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def suggest_name(root: Path, recipe_values: Mapping[str, object]) -> str:
    """A fresh name from the model and the method, such as `qwen2.5-0.5b-lora`."""
    model = Path(str(recipe_values.get("model.source", "run"))).name
    return fresh_name(root, f"{model}-{recipe_values.get('method.name', 'lora')}")


def create_run(recipe: Recipe, root: Path | None = None, name: str | None = None) -> Run:
    """Make the directory of a new run and write its recipe. Raises UserError when it cannot be made.

    Paths in the recipe become absolute, since the engine works in the run directory.
    """
    place = root if root is not None else runs_root(recipe.run.directory)
    values = {key: answer.value for key, answer in recipe.answers.items()}
    chosen = check_name(name or recipe.run.name or suggest_name(place, values))
    path, settled = place / chosen, _settled(recipe, chosen, place)
    try:
        _make_root(place)
        path.mkdir(mode=0o700)
    except FileExistsError as error:
        fix = f"Choose another name, or go on with it: tunewright resume {chosen}."
        raise UserError(f"There is already a run called {chosen}.", str(path), fix) from error
    except OSError as error:
        fix = "Choose another folder with --runs, or mend its permissions."
        raise UserError(f"The run directory cannot be made: {error.strerror}.", str(path), fix) from error
    run = Run(path)
    try:
        for folder in (run.control_dir, run.checkpoints_dir, run.exports_dir):
            folder.mkdir(mode=0o700)
        write_atomic(run.recipe_path, settled.dumps())
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)
        fix = "Make room, or choose another folder with --runs."
        raise UserError(f"The run directory cannot be written: {error.strerror}.", str(path), fix) from error
    return run


def _make_root(place: Path) -> None:
    """The folder that holds the runs. Raises OSError, and UserError when something else has its name."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        fix = "Choose another folder with --runs."
        raise UserError("The runs cannot be kept there: a file has that name.", str(place), fix) from error


def _settled(recipe: Recipe, name: str, root: Path) -> Recipe:
    """The recipe with its name and folder filled in and local paths made absolute."""
    answers = absolute_paths(recipe)
    answers["run.name"] = Answer(name, answers["run.name"].source, answers["run.name"].reason)
    answers["run.directory"] = Answer(str(root), answers["run.directory"].source, answers["run.directory"].reason)
    return Recipe.from_answers(answers)


def open_run(name: str, root: Path | None = None) -> Run:
    """The run called `name`, or the run in the directory that `name` is a path of. Raises UserError."""
    place = root or runs_root()
    is_path = os.sep in name or name.startswith((".", "~"))
    # a folder that was renamed by hand is listed, so it is found by its name, whatever that is
    path = Path(name).expanduser().absolute() if is_path else place / (name if name.isprintable() else "")
    if path != place and (path / "recipe.toml").is_file():
        return Run(path)
    if not is_path:
        check_name(name)
    known = [run.name for run in list_runs(place)]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or known[:3]
    fix = f"Did you mean {' or '.join(near)}?" if near else "Start one: tunewright, or tunewright train."
    raise UserError(f"There is no run called {name}.", str(path), fix)


def list_runs(root: Path | None = None) -> list[Run]:
    """Every run below `root`, the one that was written to last first."""
    place = root or runs_root()
    found: list[tuple[float, Run]] = []
    with contextlib.suppress(OSError):
        for path in place.iterdir():
            if (path / "recipe.toml").is_file():
                found.append((_last_written(path), Run(path)))
    return [run for _, run in sorted(found, key=lambda pair: (-pair[0], pair[1].name))]


def _last_written(path: Path) -> float:
    for name in ("events.jsonl", "recipe.toml"):
        with contextlib.suppress(OSError):
            return (path / name).stat().st_mtime
    return 0.0


def delete_run(run: Run) -> None:
    """Remove a run directory with all it holds. The caller has made sure that no engine works in it."""
    if not run.recipe_path.is_file():
        raise UserError("This folder holds no run, so it is not deleted.", str(run.path), "Check the name.")
    shutil.rmtree(run.path)
