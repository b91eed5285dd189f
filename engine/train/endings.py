"""How a run ended, in words: the engine before this one when it had no last word, and this one when it fails."""

from __future__ import annotations

from typing import Any

from engine.errors import UserError
from engine.runs.detach import Detachment
from engine.runs.kills import killed_for_memory
from engine.runs.store import Run
from engine.train.disk import disk_trouble
from engine.train.exit_codes import EXIT_FAILED
from engine.train.reporter import Reporter
from engine.train.session import Restart
from engine.train.world import World

_LOST_WORDS = ("onnection closed by peer", "onnection reset by peer", "roken pipe", "NCCL", "ncclRemoteError")
"""What torch says in the middle of a sharded pass when another process is gone."""


def introduce(reporter: Reporter, before: dict[str, Any], resume: bool, detached: Detachment) -> None:
    """What a run says first: whether a logout ends it, and what ended the engine before."""
    if not detached.outlives:
        reporter.warning(detached.sentence, fix=detached.fix, kind="detach")
    if resume:
        say_what_ended_it(before, reporter)


def say_what_ended_it(before: dict[str, Any], reporter: Reporter) -> None:
    """When the engine before us had no last word, say what most likely happened to it."""
    if not before or before.get("stop_reason"):
        return
    step = f"after step {before.get('step', 0)}"
    if before.get("boot_id") not in {None, "", reporter.state["boot_id"]}:
        reporter.warning("The machine restarted while the run was going on.", step, kind="restarted")
    elif killed_for_memory(before):
        fix = "Close other programs, use a smaller model or QLoRA, or a machine with more memory (RAM)."
        reporter.warning("The system ran out of memory (RAM) and killed the engine.", step, fix, kind="memory")
    else:
        reporter.warning("The engine was killed without a word.", step, kind="killed")


def say_restart(reporter: Reporter, restart: Restart) -> None:
    """Say that a fresh process goes on; a launcher, which does not become another program, reads it in the state."""
    reporter.state["restart"] = True
    reporter.write_state()
    reporter.warning(
        "Memory ran out twice, so the engine starts afresh from the checkpoint it has just made.", str(restart),
        "Choose a shorter sequence length or QLoRA if it happens again.", kind="restart",
    )  # fmt: skip


def end_with_error(reporter: Reporter, error: UserError) -> int:
    """Say the last words of a run that failed. Returns the exit code."""
    reporter.error(error)
    reporter.end("failed", error.what)
    return error.exit_code


def is_loss_of_peer(error: BaseException, world: World) -> bool:
    """Whether a library's error says that another of several processes is gone."""
    return world.size > 1 and any(words in str(error) for words in _LOST_WORDS)


def as_user_error(run: Run, reporter: Reporter, error: BaseException) -> UserError:
    """Whatever it was, in words for a person."""
    where = f"phase: {reporter.state['phase']}, step {reporter.state['step']}"
    trouble = disk_trouble(error)
    if trouble:
        return UserError(trouble, str(run.path), "Make room and resume the run.", EXIT_FAILED)
    if isinstance(error, MemoryError):
        return UserError("The machine ran out of memory.", where, "Close other programs, or choose a smaller model.", 1)
    said = " ".join(str(error).split())[:400]
    fix = f"The full report is in {run.log_path}. Resuming goes on from the last checkpoint."
    return UserError(f"Something unexpected went wrong: {type(error).__name__}: {said}", where, fix, EXIT_FAILED)
