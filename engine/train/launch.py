"""Several processes for one run: torchrun's agent in the process that holds the lock, and the last word when one dies.

The launcher computes nothing. It chooses the GPUs, starts one process for each, hands signals on to rank 0, and waits.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from engine.errors import UserError
from engine.machine.packages import require_deepspeed
from engine.plan.devices import check_devices
from engine.runs.detach import detachment
from engine.runs.nodes import ONE_NODE, Nodes
from engine.runs.store import Run
from engine.train.endings import introduce
from engine.train.exit_codes import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, EXIT_PEER_LOST, EXIT_STOPPED
from engine.train.failures import what_happened
from engine.train.pulse import LAUNCHER
from engine.train.rank import DEVICES, NODES
from engine.train.reporter import Reporter
from engine.train.run import RESTARTS
from engine.train.surroundings import GPUS, cpu_threads, gpus_by_room
from engine.train.whereabouts import Whereabouts

PATIENT_SIGNALS = 2
"""The first asks to stop and save, the second to stop now; after that the processes are killed."""


class _NobodyWorks(BaseException):
    """A signal came while there was nobody to give it to. No Exception, so that no library takes it for an error."""


class Launcher:
    """Carries out a run with `devices` processes on this machine, and as many on each other one."""

    def __init__(self, run: Run, devices: int, nodes: Nodes = ONE_NODE) -> None:
        self.run = run
        self.devices = devices
        self.nodes = nodes
        self.processes = devices * nodes.count
        self.asked = ""
        """The name of the newest signal that asked this run to end."""
        self._signals = 0
        self._whereabouts = Whereabouts(run)

    def carry_out(self, resume: bool) -> int:
        """Start the processes and wait for them. Returns the run's exit code."""
        before = self.run.state()
        reporter = Reporter(self.run)
        self._take_signals()
        failures: list[Any] = []
        try:
            introduce(reporter, before, resume, detachment())
            recipe = self.run.recipe()
            check_devices(recipe, self.processes)
            if recipe.training.sharding.startswith("zero"):
                require_deepspeed()
            prepare(self.devices, self.nodes)
            reporter.write_state()
            reporter.close()
            failures = self._run_ranks(resume)
            while self._state().get("restart") and not self.asked:
                os.environ[RESTARTS] = str(int(os.environ.get(RESTARTS, "0")) + 1)
                failures = self._run_ranks(resume=True)
        except UserError as error:
            return _say_failure(reporter, error)
        except _NobodyWorks:
            pass
        return self._conclude(failures)

    def assist(self, resume: bool) -> int:
        """Start this machine's processes for a run that another machine leads. 0 when they ended as they should."""
        self._take_signals()
        failures: list[Any] = []
        try:
            prepare(self.devices, self.nodes)
            failures = self._run_ranks(resume)
        except _NobodyWorks:
            return EXIT_STOPPED
        return EXIT_FAILED if failures else EXIT_DONE

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hand_on)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _run_ranks(self, resume: bool) -> list[Any]:
        """torchrun's failures, the first one first; empty when all processes ended as they should."""
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import launch_agent

        with tempfile.TemporaryDirectory(prefix="tunewright-") as folder:
            try:
                launch_agent(*torchrun(self.run, self.devices, resume, folder, self.nodes))
            except ChildFailedError as error:
                found = error.failures.values()
                return sorted(found, key=lambda failure: (failure.exitcode == EXIT_PEER_LOST, failure.timestamp))
        return []

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        """Give a signal to rank 0, which tells the others; end them all when there is no rank 0 yet or any more."""
        self.asked = signal.Signals(number).name
        self._signals += 1
        listening = self._who_listens()
        if self._signals <= PATIENT_SIGNALS and listening:
            os.kill(listening, number)
            return
        if self._signals > PATIENT_SIGNALS:
            _kill_children()
        raise _NobodyWorks  # torchrun's agent ends its processes on the way out

    def _who_listens(self) -> int:
        """The process that a signal is given to: rank 0, or on another machine any of those that work here."""
        if self.nodes.rank:
            return min(_children(), default=0)
        leader = int(self._state().get("pid") or 0)
        return leader if leader and _parent_of(leader) == os.getpid() else 0

    def _state(self) -> dict[str, Any]:
        where = self._whereabouts.now(self.run.path)
        return Run(where).state() if where is not None else {"stop_reason": "stopped"}

    def _conclude(self, failures: list[Any]) -> int:
        """The exit code; the last word, too, when rank 0 could not say it."""
        state = self._state()
        reason = state.get("stop_reason")
        if reason in {"finished", "stopped"}:
            return EXIT_DONE if reason == "finished" else EXIT_STOPPED
        if reason == "failed":
            return EXIT_BAD_INPUT if any(one.exitcode == EXIT_BAD_INPUT for one in failures) else EXIT_FAILED
        reporter = Reporter(Run(self._whereabouts.now(self.run.path) or self.run.path), "relayed")
        if self.asked:
            reporter.end("stopped", f"{self.asked} ended the run at once; what was saved before stays.")
            reporter.close()
            return EXIT_STOPPED
        return _say_failure(reporter, what_happened(failures, state, self.processes))


def prepare(devices: int, nodes: Nodes = ONE_NODE) -> None:
    """Set what every process inherits. Raises UserError when there are fewer GPUs than `devices`.

    A machine without GPUs takes any number: the processes then share its CPU.
    """
    gpus = gpus_by_room()
    if gpus and len(gpus) < devices:
        what = f"The recipe is for {devices} GPUs, and {len(gpus)} can be used here."
        fix = f"Go on with fewer: `tunewright resume` with --devices {max(1, len(gpus))}."
        raise UserError(what, "training.devices", fix)
    os.environ.update({GPUS: ",".join(gpus[:devices]), DEVICES: str(devices), LAUNCHER: str(os.getpid()),
                       NODES: str(nodes.count)})  # fmt: skip
    os.environ["OMP_NUM_THREADS"] = str(max(1, cpu_threads() // devices))
    if not gpus and nodes.count == 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the host's name may stand for an address that is not here


def torchrun(run: Run, devices: int, resume: bool, folder: str, nodes: Nodes = ONE_NODE) -> tuple[Any, str, list[str]]:
    """What `torchrun` would do with these arguments. A process that fails is never started again by it: the others
    could not take it up in the middle of a step."""
    from torch.distributed.run import config_from_args, get_args_parser

    # only SIGQUIT is torchrun's: at a SIGTERM it would give the processes thirty seconds for a checkpoint
    meet = ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", f"--rdzv-id={secrets.token_hex(8)}"]
    if nodes.count > 1:  # static, so that rank 0 is on the machine that holds the lock
        meet = [f"--node-rank={nodes.rank}", f"--master-addr={nodes.address}", f"--master-port={nodes.port}"]
    words = [*meet, f"--nnodes={nodes.count}",
             f"--nproc-per-node={devices}", "--max-restarts=0", f"--log-dir={folder}",
             "--signals-to-handle=SIGQUIT", "--no-python", sys.executable, "-P", "-m", "engine", "rank", str(run.path),
             *(["--resume"] if resume else [])]  # fmt: skip
    config, command, arguments = config_from_args(get_args_parser().parse_args(words))
    return config, str(command), arguments


def _say_failure(reporter: Reporter, error: UserError) -> int:
    reporter.error(error)
    reporter.end("failed", error.what)
    reporter.close()
    return error.exit_code


def _children() -> list[int]:
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in numbers if _parent_of(pid) == os.getpid()]


def _kill_children() -> None:
    for pid in _children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
