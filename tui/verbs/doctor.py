"""`tunewright doctor`: is the installation sound. Each check says what it looked at and how to mend it."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.machine.detect import Machine, detect_machine
from engine.machine.doctor import Check as TrainingCheck
from engine.machine.doctor import check_training
from engine.machine.packages import TRAINING_PACKAGES
from engine.runs.detach import detachment
from engine.runs.unsloth_place import make_commands, unsloth_python
from tui.places import state_directory
from tui.steps.words import GIGABYTE, gigabytes
from tui.verbs.output import print_json, say
from tui.verbs.places import root_of
from tui.verbs.terminal import is_remote

LIGHT_PACKAGES = ("textual", "psutil", "nvidia-ml-py", "tomlkit", "tokenizers", "safetensors", "huggingface_hub")
LOW_DISK_BYTES = 10 * GIGABYTE
"""A small run with its checkpoints fits in this much."""
GLYPH_SAMPLE = "\u28c0\u2824\u2812\u2809 \u2588\u2593\u2591 \u2500\u2502"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `state` is "ok", "note" (works, and could be better) or "bad"."""

    name: str
    state: str
    found: str
    fix: str = ""


def run(arguments: Namespace) -> int:
    """Say every check; exit code 1 when something is bad."""
    root = root_of(arguments)
    makers: tuple[Callable[[], Check], ...] = (
        _python, _program, lambda: _writable("runs folder", root),
        lambda: _writable("settings folder", state_directory()), lambda: _disk(root), _terminal, _logout,
        _unsloth,
    )  # fmt: skip
    machine = detect_machine(root)
    checks: list[Check | TrainingCheck] = [make() for make in makers]
    checks += [_gpu(machine), *_training(), *check_training(machine)]
    bad = [check for check in checks if check.state == "bad"]
    if arguments.json:
        print_json({"sound": not bad, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            say(f"{check.state:<4}  {check.name}: {check.found}", *([f"      {check.fix}"] if check.fix else []))
        say("", "Everything is sound." if not bad else f"{len(bad)} of {len(checks)} checks failed.")
    return 1 if bad else 0


def _python() -> Check:
    return Check("Python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _program() -> Check:
    found, missing = _versions(LIGHT_PACKAGES)
    if missing:
        return Check("program", "bad", f"missing: {', '.join(missing)}", "Install it again: pip install tunewright")
    return Check("program", "ok", found)


def _training() -> tuple[Check, ...]:
    """The versions that are here; what is missing is said by the checks of the training stack."""
    found, missing = _versions(TRAINING_PACKAGES)
    return () if missing else (Check("training packages", "ok", found),)


def _versions(names: tuple[str, ...]) -> tuple[str, list[str]]:
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return ", ".join(found), missing


def _writable(name: str, folder: Path) -> Check:
    """Whether files can be made in `folder`, or in the nearest folder above it that exists; nothing is created."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Check(name, "ok", str(folder))
    return Check(name, "bad", f"{folder} cannot be written", f"Change the permissions of {place}, or use --runs.")


def _disk(root: Path) -> Check:
    host = detect_machine(root).host
    found = f"{gigabytes(host.disk_free_bytes)} free at {host.disk_path}"
    if host.disk_free_bytes < LOW_DISK_BYTES:
        fix = "Checkpoints of larger models need more; choose another folder with --runs."
        return Check("disk", "note", found, fix)
    return Check("disk", "ok", found)


def _logout() -> Check:
    """Whether runs outlive a logout here."""
    found = detachment()
    return Check("logout", "ok" if found.outlives else "note", found.sentence, found.fix)


def _gpu(machine: Machine) -> Check:
    gpu = machine.best_gpu
    if gpu is None:
        return Check("GPU", "note", "none found", "Small models and the demo train on the processor.")
    return Check("GPU", "ok", f"{gpu.name}, {gigabytes(gpu.free_bytes)} free of {gigabytes(gpu.total_bytes)}")


def _unsloth() -> Check:
    """Where the optional backend is, or how it is made."""
    place = unsloth_python()
    if place is not None:
        return Check("Unsloth", "ok", f"its own environment, {place}")
    return Check("Unsloth", "ok", f"not installed; for method.backend = unsloth: {' && '.join(make_commands())}")


def _terminal() -> Check:
    encoding = (sys.stdout.encoding or "").lower()
    line = "over SSH" if is_remote() else "local"
    found = f"{os.environ.get('TERM') or 'no TERM'}, {encoding}, {line}. Signs: {GLYPH_SAMPLE}"
    if encoding.replace("-", "") != "utf8":
        return Check("terminal", "note", found, "Set LANG to a UTF-8 locale; until then charts are drawn in ASCII.")
    return Check("terminal", "ok", found, "If the signs look broken: export TUNEWRIGHT_GLYPHS=ascii")
