"""Carry out a run from its first moment to its exit code. Nothing heavy is imported here.

With several devices this process is only the launcher (`engine.train.launch`), and `carry_out` is done by each of the
processes that it starts (`engine.train.rank`).
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.runs.detach import Detachment, detachment
from engine.runs.kills import killed_for_memory
from engine.runs.lock import EngineLock
from engine.runs.nodes import ONE_NODE, Nodes
from engine.runs.store import Run
from engine.runs.surroundings import read_surroundings
from engine.train.agreed_orders import AgreedOrders
from engine.train.disk import disk_trouble
from engine.train.orders import Orders
from engine.train.pulse import EXIT_PEER_LOST, EXIT_STOPPED, Pulse
from engine.train.reporter import Reporter
from engine.train.session import Engine, Restart
from engine.train.surroundings import prepare_process, use_one_gpu
from engine.train.world import ALONE, PeerLost, World

RESTARTS = "TUNEWRIGHT_ENGINE_RESTARTS"
EXIT_DONE = 0
EXIT_FAILED = 1
_LOST_WORDS = ("onnection closed by peer", "onnection reset by peer", "roken pipe", "NCCL", "ncclRemoteError")
"""What torch says in the middle of a sharded pass when another process is gone."""


def train(directory: Path, resume: bool, nodes: Nodes = ONE_NODE) -> int:
    """Carry out the run in `directory`. Returns 0 done, 1 failed, 2 bad input, 3 stopped and resumable."""
    run = Run(directory.absolute())
    if not run.recipe_path.is_file():
        sys.stderr.write(f"{run.path} holds no recipe.toml, so it is no run.\n")
        return 2
    prepare_process(run.log_path)
    sys.stderr.write(f"--- engine starts {time.strftime('%Y-%m-%d %H:%M:%S')}, resume: {resume}\n")
    try:
        if nodes.rank:  # the lock is on the first machine, and so are the events
            return int(_launcher(run, nodes).assist(resume))
        with EngineLock(run):
            return _carry_out_here_or_launch(run, resume, nodes)
    except UserError as error:  # the lock is another engine's, and so are the events
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:  # not even the events can be opened
        sys.stderr.write(f"The run directory cannot be used: {disk_trouble(error) or error}\n")
        return EXIT_FAILED


def _carry_out_here_or_launch(run: Run, resume: bool, nodes: Nodes) -> int:
    launcher = _launcher(run, nodes)
    if launcher.processes > 1:
        return int(launcher.carry_out(resume))
    use_one_gpu()
    before = run.state()
    reporter = Reporter(run)
    introduce(reporter, before, resume, detachment())
    return carry_out(run, resume, reporter)


def _launcher(run: Run, nodes: Nodes) -> Any:
    from engine.train.launch import Launcher

    try:
        devices = run.recipe().training.devices
    except UserError:
        devices = 1  # the run tells it as an event
    return Launcher(run, devices, nodes)


def introduce(reporter: Reporter, before: dict[str, Any], resume: bool, detached: Detachment) -> None:
    """What a run says first: whether a logout ends it, and what ended the engine before."""
    if not detached.outlives:
        reporter.warning(detached.sentence, fix=detached.fix, kind="detach")
    if resume:
        _say_what_ended_it(before, reporter)


def carry_out(run: Run, resume: bool, reporter: Reporter | None = None, world: World = ALONE) -> int:
    """The run itself, by the main thread of a process that holds the lock. Returns the exit code."""
    if reporter is None:
        before = run.state()
        reporter = Reporter(run)
        if resume:
            _say_what_ended_it(before, reporter)
    orders = Orders()
    pulse = Pulse(run, reporter, orders, world.leads)
    heard = orders if world.size == 1 else AgreedOrders(orders, world)
    engine = Engine(reporter, heard, pulse, int(os.environ.get(RESTARTS, "0")), world)
    if os.environ.get("SLURM_JOB_ID") and world.leads:
        pulse.mind_the_end(read_surroundings().slurm_end)
    pulse.install()
    pulse.start()
    again = False
    try:
        code = _work(run, resume, engine)
    except Restart as restart:
        again = True
        code = EXIT_FAILED
        reporter.state["restart"] = True  # for a launcher, which does not become another program
        reporter.write_state()
        reporter.warning(
            "Memory ran out twice, so the engine starts afresh from the checkpoint it has just made.", str(restart),
            "Choose a shorter sequence length or QLoRA if it happens again.", kind="restart",
        )  # fmt: skip
    except UserError as error:
        traceback.print_exc()
        code = _failed(reporter, error)
    except PeerLost:  # the launcher has the last word, since it knows which process ended and how
        traceback.print_exc()
        code = EXIT_PEER_LOST
    except BaseException as error:  # the last stop: whatever it is becomes a sentence, and its trace is in the log
        traceback.print_exc()
        lost = world.size > 1 and any(words in str(error) for words in _LOST_WORDS)
        code = EXIT_PEER_LOST if lost else _failed(reporter, _unexpected(run, reporter, error))
    finally:
        pulse.stance = "closing"
        pulse.finish()
        reporter.close()
        sys.stderr.flush()
    if again and world.size == 1:
        start_afresh(run, engine.restarts + 1)
    return code


def _say_what_ended_it(before: dict[str, Any], reporter: Reporter) -> None:
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


def start_afresh(run: Run, restarts: int) -> None:
    """Become a fresh process that resumes the run; does not return. The lock goes with the old program."""
    os.environ[RESTARTS] = str(restarts)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "engine", "train", str(run.path), "--resume"])


def _work(run: Run, resume: bool, engine: Engine) -> int:
    reporter = engine.reporter
    reporter.phase("reading data")
    from engine.train.work import work

    stopped = work(run, resume, engine)
    engine.pulse.stance = "closing"
    if stopped is None:
        reporter.phase("done")
        reporter.end("finished")
        return EXIT_DONE
    reporter.end("stopped", stopped)
    return EXIT_STOPPED


def _failed(reporter: Reporter, error: UserError) -> int:
    reporter.error(error)
    reporter.end("failed", error.what)
    return error.exit_code


def _unexpected(run: Run, reporter: Reporter, error: BaseException) -> UserError:
    where = f"phase: {reporter.state['phase']}, step {reporter.state['step']}"
    trouble = disk_trouble(error)
    if trouble:
        return UserError(trouble, str(run.path), "Make room and resume the run.", EXIT_FAILED)
    if isinstance(error, MemoryError):
        return UserError("The machine ran out of memory.", where, "Close other programs, or choose a smaller model.", 1)
    said = " ".join(str(error).split())[:400]
    fix = f"The full report is in {run.log_path}. Resuming goes on from the last checkpoint."
    return UserError(f"Something unexpected went wrong: {type(error).__name__}: {said}", where, fix, EXIT_FAILED)
