"""A real engine in its own process: terminals close, signals come, and nothing else dies or stays behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine.runs.lock import lock_owner
from engine.runs.store import Run
from tests.engine.train.carried import Carried

PROJECT = Path(__file__).resolve().parents[2]
LAUNCH = (
    "import sys; from pathlib import Path; from engine.runs.process import launch; from engine.runs.store import Run; "
    "launch(Run(Path(sys.argv[1])), resume=sys.argv[2] == 'resume')"
)


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Whether `condition` becomes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def launch_from_a_terminal(run: Run, resume: bool = False) -> int:
    """Start the engine from a shell-like process in a terminal of its own, then close that terminal.

    Returns the pid of the engine, which holds the lock.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-c", LAUNCH, str(run.path), "resume" if resume else "new"]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
        os.execve(sys.executable, command, environment)
    os.waitpid(pid, 0)
    os.close(terminal)  # the kernel hangs up on everything that still belongs to this terminal
    owner = lock_owner(run)
    assert owner is not None, run.log_path.read_text()[-2000:]
    return owner.pid


def reached(run: Run, step: int) -> bool:
    """Whether the run has come to `step`."""
    return any(event["step"] >= step for event in Carried(run).of("step"))


def second_engine(run: Run) -> tuple[int, str]:
    """Start another engine on the same run: (exit code, the run's log)."""
    command = [sys.executable, "-P", "-m", "engine", "train", str(run.path), "--resume"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    code = subprocess.run(command, env=environment, check=False, timeout=60).returncode
    return code, run.log_path.read_text()


def group_is_empty(leader: int) -> bool:
    """Whether nothing is left of the session that the engine led."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{leader}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def end(pid: int) -> None:
    """Make sure that a test leaves nothing behind."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
