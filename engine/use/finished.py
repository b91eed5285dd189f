"""What a run left behind: its result directory, checked before anything heavy is loaded."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import UserError
from engine.recipe import Recipe
from engine.recipe_parts import Method
from engine.runs.files import read_json
from engine.runs.store import Run

Template = Literal["model", "plain"]


@dataclass(frozen=True)
class Result:
    """The result of a run (or one of its checkpoints): `weights` holds an adapter, or a whole model when full."""

    run: Run
    recipe: Recipe
    method: Method
    weights: Path
    tokenizer: Path
    base: Path
    base_source: str
    template: Template
    format: str
    steps: int
    labels: tuple[str, ...] = ()
    """Those of a classification head, in the order of their numbers; empty for a model that writes text."""

    @property
    def is_adapter(self) -> bool:
        return self.method != "full"


def open_result(run_directory: Path | str, checkpoint: str = "") -> Result:
    """Check and describe the result of the run in `run_directory`, or of its checkpoint called `checkpoint`.

    Raises UserError when the run has no result yet, a file is missing or torn, or the base model is gone.
    """
    run = Run(Path(run_directory).expanduser().absolute())
    if not run.recipe_path.is_file():
        raise UserError("This folder holds no run.", str(run.path), "Give the name of a run: tunewright runs.")
    recipe = run.recipe()
    facts = _facts(run, bool(checkpoint))
    method = recipe.method.name
    folder = run.checkpoints_dir / checkpoint if checkpoint else run.result_dir
    weights = folder if checkpoint else folder / ("model" if method == "full" else "adapter")
    _check_weights(weights, method)
    tokenizer = next((place for place in (run.result_dir, weights) if (place / "tokenizer.json").is_file()), weights)
    return Result(
        run=run,
        recipe=recipe,
        method=method,
        weights=weights,
        tokenizer=tokenizer,
        base=_base_directory(facts, recipe),
        base_source=str(facts.get("base_source") or recipe.model.source),
        template="plain" if facts.get("template", recipe.data.template) == "plain" else "model",
        format=str(facts.get("format") or recipe.data.format),
        steps=int(facts.get("steps") or 0),
        labels=_labels(facts, recipe),
    )


def _labels(facts: dict[str, Any], recipe: Recipe) -> tuple[str, ...]:
    """A run that was not finished has them not written down yet; UserError then."""
    found = tuple(str(name) for name in facts.get("labels") or ())
    if recipe.method.objective == "classify" and not found:
        what = "The labels of this classification are written down when it has finished."
        raise UserError(what, recipe.run.name, "Let it finish: tunewright resume.")
    return found


def base_of(run: Run) -> tuple[Path, str]:
    """The base model of a run that may have no result yet: its directory, and its name in the recipe."""
    recipe = run.recipe()
    return _base_directory(read_json(run.result_dir / "result.json"), recipe), recipe.model.source


def _facts(run: Run, from_checkpoint: bool) -> dict[str, Any]:
    facts = read_json(run.result_dir / "result.json")
    if facts or from_checkpoint:
        return facts
    phase = str(run.state().get("phase") or "not started")
    raise UserError(
        f"The run {run.name} has no result yet. Its phase is: {phase}.",
        str(run.result_dir),
        f"Wait until it has finished: tunewright attach {run.name}. If it stopped early: tunewright resume {run.name}.",
    )


def _check_weights(folder: Path, method: str) -> None:
    names = ["config.json"] if method == "full" else ["adapter_config.json", "adapter_model.safetensors"]
    for name in names:
        if not (folder / name).is_file():
            kind = "trained model" if method == "full" else "adapter"
            fix = "Take another checkpoint, or train again: the run directory was changed by something else."
            raise UserError(f"The {kind} is not complete: {name} is missing.", str(folder), fix)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError("The trained model has no weights.", str(folder), "Train again, or take a checkpoint.")
    for path in files:
        check_safetensors(path)


def check_safetensors(path: Path) -> None:
    """Raise UserError when a safetensors file is torn: its header must parse and its data must be all there.

    Format: 8 bytes little-endian header length, JSON header, data (github.com/huggingface/safetensors).
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, 100_000_000):
                raise ValueError("the header has no valid length")
            header = json.loads(stream.read(length))
        end = max(
            (int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"), default=0
        )
        if size != 8 + length + end:
            raise ValueError(f"it should hold {8 + length + end} bytes and holds {size}")
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        fix = "The file was cut off, perhaps by a full disk. Take a checkpoint, or train again."
        raise UserError(f"A file of weights is damaged: {error}.", str(path), fix) from error


def _base_directory(facts: dict[str, Any], recipe: Recipe) -> Path:
    """Where the base model is now: as it was at training, else the source itself, else the model cache."""
    for place in (str(facts.get("base_directory") or ""), recipe.model.source):
        path = Path(place).expanduser() if place else None
        if path is not None and (path / "config.json").is_file():
            return path.absolute()
    if os.sep in recipe.model.source and Path(recipe.model.source).is_absolute():
        fix = "Put the model back, or make a link to where it is now."
        raise UserError("The base model is no longer where it was at training.", recipe.model.source, fix)
    return _from_cache(recipe.model.source, str(facts.get("base_revision") or recipe.model.revision))


def _from_cache(source: str, revision: str) -> Path:
    from engine.models.find import find_model

    found = find_model(source, revision)
    if found.directory is None:
        raise UserError("The base model is not on this machine.", source, f"Fetch it: hf download {source}.")
    return found.directory
