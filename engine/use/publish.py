"""Publishing to the Hub: private unless said otherwise, with a model card, and with nothing private inside."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

from engine.emit import Emit
from engine.errors import UserError
from engine.runs.files import read_json
from engine.runs.history import load_history
from engine.use.card import CardFacts, loss_curve_svg, model_card, public_recipe
from engine.use.finished import Result
from engine.use.hub_push import push
from engine.use.licence import licence_of
from engine.use.portable import copy_tokenizer
from engine.use.private import refuse_private
from engine.use.staging import MARK, staged

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
LEFT_OUT = (
    "rows of your data and everything quoted from them (samples, labels)",
    "paths, user names and host names of this machine",
    "checkpoints, optimizer state and logs",
)
"""What `refuse_private` and the choice of files keep at home; shown beside the card."""
_VERSIONS = ("torch", "transformers", "trl", "peft", "bitsandbytes")


def export_hub(result: Result, out: Path, emit: Emit, options: dict[str, Any]) -> dict[str, Any]:
    """Make the folder that is published and, when a repository is named, push it in one commit.

    Options: repo ("user/name"; without it nothing leaves this machine), what ("adapter" or "merged"), public (false),
    base (Hub id of a base model that was used from a local folder), licence. Returns {"out", "repo", "url", "private",
    "files", "card" (its text), "left_out" (sentences), "notes"}. Raises UserError.
    """
    kind = _kind(result, str(options.get("what") or ""))
    repository = str(options.get("repo") or "")
    if repository and not _REPOSITORY.fullmatch(repository):
        raise UserError(f"{repository!r} is not the name of a repository.", "repo", "Use the form user/name.")
    base = str(options.get("base") or _public_base(result))
    licence, notes = licence_of(result, base, str(options.get("licence") or ""))
    with staged(out) as stage:
        _fill(result, stage, kind, repository or result.run.name, base, licence, emit)
        refuse_private(stage, result)
        (stage / MARK).write_text(json.dumps({"kind": "hub", "run": result.run.name}) + "\n", encoding="utf-8")
    files = sorted(path.name for path in out.iterdir() if path.name != MARK)
    if "/" not in base:
        notes.append("The base model came from a local folder, so the card has no link to it. Say base to give one.")
    url = push(out, repository, not options.get("public"), emit) if repository else ""
    return {
        "to": "hub", "out": str(out), "repo": repository, "url": url, "private": not options.get("public"),
        "files": files, "card": (out / "README.md").read_text(encoding="utf-8"), "left_out": list(LEFT_OUT),
        "notes": notes,
    }  # fmt: skip


def _kind(result: Result, wanted: str) -> str:
    kind = wanted or ("adapter" if result.is_adapter else "merged")
    if kind not in {"adapter", "merged"}:
        raise UserError(f"what is {kind!r}.", "what", "Use adapter or merged.")
    if kind == "adapter" and not result.is_adapter:
        raise UserError("Full fine-tuning leaves no adapter.", result.run.name, "Publish the merged model.")
    return kind


def _public_base(result: Result) -> str:
    """The base as others may know it: its Hub id, or the bare name of a local folder."""
    source = result.base_source
    is_local = os.sep in source and (source.startswith((os.sep, ".", "~")) or Path(source).exists())
    return Path(source).name if is_local else source


def _fill(result: Result, stage: Path, kind: str, name: str, base: str, licence: str, emit: Emit) -> None:
    if kind == "merged":
        from engine.use.merge import merge_run  # brings torch

        merge_run(result, stage / "model", emit)
        for path in (stage / "model").iterdir():
            if path.name != MARK:
                path.rename(stage / path.name)
        shutil.rmtree(stage / "model")
    else:
        for file in _ADAPTER_FILES:
            shutil.copyfile(result.weights / file, stage / file)
        _name_base(stage / "adapter_config.json", base)
        copy_tokenizer(result.tokenizer, stage)
    (stage / "recipe.toml").write_text(public_recipe(result.recipe, base), encoding="utf-8")
    evaluation = _public_evaluation(result)
    if evaluation:
        (stage / "evaluation.json").write_text(json.dumps(evaluation, indent=1) + "\n", encoding="utf-8")
    has_curve = _write_curve(result, stage / "loss.svg")
    facts = CardFacts(name, base, licence, kind, result.recipe, result.steps, _fingerprint(result),
                      _versions(result), evaluation, has_curve)  # fmt: skip
    (stage / "README.md").write_text(model_card(facts), encoding="utf-8")


def _name_base(path: Path, base: str) -> None:
    """peft writes the absolute path of the base model; others need its public name."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _public_evaluation(result: Result) -> dict[str, Any]:
    """The stored evaluation without the reading sample and without labels, which are rows of the data."""
    document = read_json(result.run.path / "evaluation.json")
    private = {"examples", "confusion", "f1"}
    sides = {
        side: {name: value for name, value in figures.items() if name not in private}
        for side, figures in document.get("sides", {}).items()
    }
    return {**document, "sides": sides} if document else {}


def _write_curve(result: Result, path: Path) -> bool:
    history = load_history(result.run)
    pairs = [(s, v) for s, v in zip(history.loss.steps, history.loss.values, strict=True) if math.isfinite(v)]
    evals = [(s, v) for s, v in zip(history.evals.steps, history.evals.values, strict=True) if math.isfinite(v)]
    if len(pairs) < 2:
        return False
    path.write_text(loss_curve_svg([s for s, _ in pairs], [v for _, v in pairs], evals), encoding="utf-8")
    return True


def _fingerprint(result: Result) -> str:
    """What the newest checkpoint says about the data, or the recipe's own fingerprint."""
    for manifest in sorted(result.run.checkpoints_dir.glob("step-*/MANIFEST.json"), reverse=True):
        facts = read_json(manifest)
        found = (facts.get("facts") or facts).get("data")
        if isinstance(found, str):
            return found
    return result.recipe.fingerprint()


def _versions(result: Result) -> dict[str, str]:
    environment = read_json(result.run.environment_path)
    known = environment.get("versions") or environment
    return {name: str(known[name]) for name in _VERSIONS if isinstance(known.get(name), str)}
