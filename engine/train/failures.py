"""Why a run of several processes ended, when the one that leads could not say it itself."""

from __future__ import annotations

import signal
from typing import Any

from engine.errors import UserError
from engine.runs.kills import killed_for_memory
from engine.train.exit_codes import EXIT_FAILED, EXIT_PEER_LOST


def what_happened(failures: list[Any], state: dict[str, Any], devices: int) -> UserError:
    """The first failure in a sentence."""
    where = f"phase: {state.get('phase', 'starting')}, step {state.get('step', 0)}"
    fix = "Resuming goes on from the last checkpoint; with --devices 1 it needs no other GPU."
    if not failures:
        return UserError("The processes of the run ended without a word.", where, fix, EXIT_FAILED)
    first = failures[0]
    told = (first.error_file_data or {}).get("user_error") if hasattr(first, "error_file_data") else None
    if isinstance(told, dict):
        error = UserError.from_dict(told)
        return UserError(error.what, f"{error.where} (process {first.local_rank + 1} of {devices})".strip(), error.fix,
                         error.exit_code)  # fmt: skip
    if first.exitcode == EXIT_PEER_LOST:
        what = "Contact with another process of the run was lost: it is gone, or the network to it."
        return UserError(what, where, fix, EXIT_FAILED)
    name = f"Process {first.local_rank + 1} of {devices} (pid {first.pid})"
    if killed_for_memory(state):
        fix = "Close other programs, use a smaller model or QLoRA, or fewer GPUs at once; then resume."
        return UserError(f"The system ran out of memory (RAM) and killed a process. {name} ended first.", where, fix, 1)
    how = f"was ended by {_signal_name(-first.exitcode)}" if first.exitcode < 0 else f"ended with code {first.exitcode}"
    return UserError(f"{name} {how}, and the others with it.", where, fix, EXIT_FAILED)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
