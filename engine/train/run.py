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
from engine.runs.detach import detachment
from engine.runs.lock import EngineLock
from engine.runs.nodes import ONE_NODE, Nodes
from engine.runs.store import Run
from engine.runs.surroundings import read_surroundings
from engine.train.agreed_orders import AgreedOrders
from engine.train.disk import disk_trouble
from engine.train.endings import (
    as_user_error,
    end_with_error,
    introduce,
    is_loss_of_peer,
    say_restart,
    say_what_ended_it,
)
from engine.train.exit_codes import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, EXIT_PEER_LOST, EXIT_STOPPED
from engine.train.orders import Orders
from engine.train.pulse import Pulse
from engine.train.reporter import Reporter
from engine.train.session import Engine, Restart
from engine.train.surroundings import prepare_process, use_one_gpu
from engine.train.world import ALONE, PeerLost, World

RESTARTS = "TUNEWRIGHT_ENGINE_RESTARTS"
"""In the environment of an engine that replaced itself: how often."""


def train(directory: Path, resume: bool, nodes: Nodes = ONE_NODE) -> int:
    """Carry out the run in `directory`. Returns 0 done, 1 failed, 2 bad input, 3 stopped and resumable."""
    run = Run(directory.absolute())
    if not run.recipe_path.is_file():
        sys.stderr.write(f"{run.path} holds no recipe.toml, so it is no run.\n")
        return EXIT_BAD_INPUT
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


def carry_out(run: Run, resume: bool, reporter: Reporter | None = None, world: World = ALONE) -> int:
    """The run itself, by the main thread of a process that holds the lock. Returns the exit code."""
    reporter = reporter or _reporter(run, resume)
    engine = _engine(run, reporter, world)
    engine.pulse.install()
    engine.pulse.start()
    again = False
    try:
        code = _attempt(run, resume, engine)
    except Restart as restart:
        again, code = True, EXIT_FAILED
        say_restart(reporter, restart)
    finally:
        engine.pulse.stance = "closing"
        engine.pulse.finish()
        reporter.close()
        sys.stderr.flush()
    if again and world.size == 1:
        start_afresh(run, engine.restarts + 1)
    return code


def _reporter(run: Run, resume: bool) -> Reporter:
    before = run.state()
    reporter = Reporter(run)
    if resume:
        say_what_ended_it(before, reporter)
    return reporter


def _engine(run: Run, reporter: Reporter, world: World) -> Engine:
    orders = Orders()
    pulse = Pulse(run, reporter, orders, world.leads)
    if os.environ.get("SLURM_JOB_ID") and world.leads:
        pulse.mind_the_end(read_surroundings().slurm_end)
    heard = orders if world.size == 1 else AgreedOrders(orders, world)
    return Engine(reporter, heard, pulse, int(os.environ.get(RESTARTS, "0")), world)


def _attempt(run: Run, resume: bool, engine: Engine) -> int:
    """The exit code, whatever happens. Raises Restart alone."""
    try:
        return _work(run, resume, engine)
    except Restart:
        raise
    except UserError as error:
        traceback.print_exc()
        return end_with_error(engine.reporter, error)
    except PeerLost:  # the launcher has the last word, since it knows which process ended and how
        traceback.print_exc()
        return EXIT_PEER_LOST
    except BaseException as error:  # the last stop: whatever it is becomes a sentence, and its trace is in the log
        traceback.print_exc()
        if is_loss_of_peer(error, engine.world):
            return EXIT_PEER_LOST
        return end_with_error(engine.reporter, as_user_error(run, engine.reporter, error))


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


def start_afresh(run: Run, restarts: int) -> None:
    """Become a fresh process that resumes the run; does not return. The lock goes with the old program."""
    os.environ[RESTARTS] = str(restarts)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "engine", "train", str(run.path), "--resume"])
