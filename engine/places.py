"""Where a person's runs, what belongs to them, and downloaded models are kept."""

from __future__ import annotations

import os
from pathlib import Path


def home_directory() -> Path:
    """$TUNEWRIGHT_HOME, or ~/tunewright: a visible place, since checkpoints are large."""
    return Path(os.environ.get("TUNEWRIGHT_HOME") or Path.home() / "tunewright").expanduser().absolute()


def runs_root(directory: str = "") -> Path:
    """The folder that holds the runs: `directory` when given, else the usual one."""
    return Path(directory).expanduser().absolute() if directory else home_directory() / "runs"


def rescue_root() -> Path:
    """Where an engine saves what it holds when its run directory is deleted under it."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "tunewright" / "rescue"


def model_cache_directory() -> Path:
    """The Hub's cache, by the same rules as huggingface_hub (HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME), without
    importing it."""
    explicit = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if explicit:
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{base}/huggingface"
    return Path(home).expanduser() / "hub"
