"""Checkpoints on disk: whole or absent, and never believed without proof.

A checkpoint is written under a hidden name, every file and directory is fsynced, the manifest comes last, and one
rename makes it real. Only then are older ones removed, by step number: clocks step back, and file times lie.
Without the fsyncs a power cut leaves directories that look complete and hold empty files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.runs.files import sync_directory

MANIFEST = "MANIFEST.json"
SCHEMA = 1
_STEP = re.compile(r"step-(\d{8,})")
_STAGING = ".staging-"
_BAD = "bad-"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose every byte was verified. `facts` is what `commit` was given."""

    path: Path
    step: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """What a search found: the highest verified checkpoint, and what was passed over on the way."""

    best: Checkpoint | None
    damaged: tuple[tuple[str, str], ...] = field(default=())
    """(directory name, what is wrong with it), highest step first."""


def step_directory(root: Path, step: int) -> Path:
    return root / f"step-{step:08d}"


def steps_on_disk(root: Path) -> list[int]:
    """Steps that have a directory, verified or not, ascending."""
    return sorted(int(found[1]) for name in _names(root) if (found := _STEP.fullmatch(name)))


def new_staging(root: Path, step: int) -> Path:
    """A fresh hidden directory beside the checkpoints, to be filled and then committed or discarded."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    staging = root / f"{_STAGING}{step:08d}-{secrets.token_hex(4)}"
    staging.mkdir(mode=0o700)
    return staging


def discard_staging(root: Path) -> list[str]:
    """Remove what a killed engine left half written; returns the names."""
    names = [name for name in _names(root) if name.startswith(_STAGING)]
    for name in names:
        shutil.rmtree(root / name, ignore_errors=True)
    return names


def commit(staging: Path, root: Path, step: int, facts: dict[str, Any]) -> Path:
    """Seal a filled staging directory and give it its name. Raises OSError; then the staging directory remains.

    An existing checkpoint of the same step is never overwritten: FileExistsError.
    """
    final = step_directory(root, step)
    if final.exists():
        raise FileExistsError(f"{final} exists")
    files = {name: _describe(staging / name) for name in _file_names(staging)}
    sync_tree(staging)
    manifest = {"schema": SCHEMA, "step": step, "facts": facts, "files": files}
    (staging / MANIFEST).write_bytes(_sealed(manifest))
    _sync_file(staging / MANIFEST)
    sync_directory(staging)
    staging.rename(final)
    sync_directory(root)
    return final


def problems_of(path: Path) -> list[str]:
    """Everything that is wrong with a checkpoint, as short phrases; empty when every byte is as it was written."""
    try:
        manifest = read_manifest(path)
    except (OSError, ValueError) as error:
        return [f"{MANIFEST}: {_phrase(error)}"]
    problems = []
    if (found := _STEP.fullmatch(path.name)) is None or int(found[1]) != manifest["step"]:
        problems.append(f"{MANIFEST} belongs to step {manifest['step']}")
    for name, expected in manifest["files"].items():
        try:
            if _describe(path / name) != expected:
                problems.append(f"{name} has changed")
        except OSError as error:
            problems.append(f"{name}: {_phrase(error)}")
    return problems


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint. Raises OSError, or ValueError when it is not what was written."""
    manifest = json.loads((path / MANIFEST).read_bytes())
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise ValueError("written by another version")
    if _sealed({name: value for name, value in manifest.items() if name != "seal"}) != _canonical(manifest):
        raise ValueError("the seal is broken")
    return manifest


def find_verified(root: Path, set_aside: bool = True) -> Search:
    """The highest step whose manifest verifies. Damaged ones on the way are renamed `bad-...` when `set_aside`."""
    damaged: list[tuple[str, str]] = []
    for step in reversed(steps_on_disk(root)):
        path = step_directory(root, step)
        problems = problems_of(path)
        if not problems:
            return Search(Checkpoint(path, step, read_manifest(path)["facts"]), tuple(damaged))
        damaged.append((path.name, "; ".join(problems[:3])))
        if set_aside:
            with contextlib.suppress(OSError):  # a read-only disk: it is passed over all the same
                path.rename(root / f"{_BAD}{path.name}-{secrets.token_hex(2)}")
    return Search(None, tuple(damaged))


def prune(root: Path, keep: int, protected: Iterable[int] = ()) -> list[int]:
    """Remove all but the `keep` highest steps and the `protected` ones; returns the removed steps.

    Damaged checkpoints that were set aside go too, once as many whole ones are there as shall be kept.
    """
    steps = steps_on_disk(root)
    spared = {*steps[-keep:], *protected} if keep > 0 else set(steps)
    removed = [step for step in steps if step not in spared]
    doomed = [step_directory(root, step) for step in removed]
    if len(steps) >= keep:
        doomed += [root / name for name in _names(root) if name.startswith(_BAD)]
    for path in doomed:
        hidden = root / f"{_STAGING}removed-{secrets.token_hex(4)}"
        path.rename(hidden)  # half a checkpoint must never carry a step's name
        shutil.rmtree(hidden, ignore_errors=True)
    return removed


def sync_tree(directory: Path) -> None:
    """fsync every file and directory below `directory`, itself included."""
    for folder, _, names in os.walk(directory):
        for name in names:
            _sync_file(Path(folder) / name)
        sync_directory(Path(folder))


def size_of(directory: Path) -> int:
    """Bytes in all files below `directory`."""
    return sum((Path(folder) / name).stat().st_size for folder, _, names in os.walk(directory) for name in names)


def _names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_names(directory: Path) -> list[str]:
    paths = (Path(folder) / name for folder, _, names in os.walk(directory) for name in names)
    return sorted(str(path.relative_to(directory)) for path in paths)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, indent=1).encode()


def _sealed(document: dict[str, Any]) -> bytes:
    """The document with a checksum of itself, so that a flipped bit in a step or a digest shows."""
    seal = hashlib.sha256(_canonical(document)).hexdigest()
    return _canonical({**document, "seal": seal})


def _phrase(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    return error.strerror or str(error) if isinstance(error, OSError) else "damaged"
