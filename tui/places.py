"""Where the terminal side keeps what is its own."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory() -> Path:
    """Where logs and unfinished answers live: $XDG_STATE_HOME/tunewright, by default ~/.local/state/tunewright."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "tunewright"


def answers_path() -> Path:
    """Where unfinished answers live."""
    return state_directory() / "answers.json"
