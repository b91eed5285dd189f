"""The trackers that a run can also write to, and whether their packages are installed. Nothing is imported here."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import UserError
from engine.machine.packages import install_command, is_installed
from engine.recipe_keys import TRACKERS


def require_trackers(names: Sequence[str]) -> None:
    """UserError for a name that is no tracker, and for one whose package (of the same name) is not installed."""
    unknown = [name for name in names if name not in TRACKERS]
    if unknown:
        raise UserError(f"{unknown[0]!r} is no tracker.", "tracking.to", f"Use some of: {', '.join(TRACKERS)}.")
    missing = [name for name in names if not is_installed(name)]
    if missing:
        what = f"The package of a tracker is not installed: {', '.join(missing)}."
        raise UserError(what, "tracking.to", f"Install it with: {install_command(*missing)}")
