"""Whether the training packages are installed; the program starts and plans without them."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec

from engine.errors import UserError

TRAINING_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes")
INSTALL_COMMAND = f"{shlex.quote(sys.executable or 'python')} -m pip install 'tunewright[train]'"


def missing_training_packages() -> tuple[str, ...]:
    """Names of the training packages that are not installed; nothing is imported, so this takes about a millisecond."""
    return tuple(name for name in TRAINING_PACKAGES if not _installed(name))


def require_training_packages() -> None:
    """UserError with the exact command when something that training needs is missing."""
    missing = missing_training_packages()
    if missing:
        raise UserError(
            f"Training needs packages that are not installed: {', '.join(missing)}.",
            "this Python environment",
            f"Install them with: {INSTALL_COMMAND}",
        )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a half-removed package counts as missing
        return False
