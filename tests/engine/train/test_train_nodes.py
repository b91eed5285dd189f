"""Two network namespaces as two machines: one run, met by the rendezvous that `--nodes` prints.

Long tier; needs root and a kernel that lets network namespaces be made.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from engine.runs.liveness import liveness
from engine.runs.nodes import command_on, first_node
from engine.runs.process import engine_environment
from engine.runs.store import Run
from tests.engine.train.carried import Carried, RunFactory, carry
from tests.engine.train.test_train_several import SHARED, assert_same, wait_for

pytestmark = pytest.mark.long
ADDRESSES = ("10.217.3.1", "10.217.3.2")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """The names of two namespaces that are connected by a pair of virtual cards."""
    mark = str(os.getpid())[-4:]
    names, cards = [f"tw{mark}a", f"tw{mark}b"], [f"tv{mark}a", f"tv{mark}b"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", cards[0], "type", "veth", "peer", "name", cards[1])
        for name, card, address in zip(names, cards, ADDRESSES, strict=True):
            ip("link", "set", card, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", card)
            ip("-n", name, "link", "set", card, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {error}")
    finally:
        for name in names:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                ip("netns", "del", name)


def start_on(name: str, card: str, run: Run, rank: int, resume: bool = False) -> subprocess.Popen[bytes]:
    nodes = first_node(2, f"{ADDRESSES[0]}:29517")
    words = command_on(nodes, rank, run.path, resume).split()
    environment = engine_environment({"GLOO_SOCKET_IFNAME": card, "OMP_NUM_THREADS": "1"})
    return subprocess.Popen(["ip", "netns", "exec", name, *words], env=environment, stdin=subprocess.DEVNULL,
                            start_new_session=True)  # fmt: skip


def start_both(machines: list[str], run: Run, resume: bool = False) -> list[subprocess.Popen[bytes]]:
    cards = [name.replace("tw", "tv") for name in machines]
    return [start_on(name, card, run, rank, resume) for rank, (name, card) in enumerate(zip(machines, cards,
                                                                                            strict=True))]  # fmt: skip


def test_two_machines_train_as_one_process_does(machines: list[str], make_run: RunFactory) -> None:
    one = carry(make_run("node-one", **SHARED))
    run = make_run("node-two", **SHARED)
    started = start_both(machines, run)
    assert [process.wait(120) for process in started] == [0, 0]
    assert_same(one, Carried(run))


def test_a_machine_that_is_gone_ends_the_run_and_it_goes_on(machines: list[str], make_run: RunFactory) -> None:
    shared = {**SHARED, "training__max_steps": 60, "training__epochs": 60, "evaluation__every_steps": 30}
    one = carry(make_run("gone-one", **shared))
    run = make_run("gone-two", **shared)
    started = start_both(machines, run)
    wait_for(lambda: run.state().get("phase") == "training" and run.state()["step"] > 3)
    os.kill(started[1].pid, signal.SIGKILL)  # `ip netns exec` has become the launcher of the second machine
    wait_for(lambda: not liveness(run).alive)
    assert started[0].wait(60) == 1
    assert "Contact with another process of the run was lost" in Carried(run).of("end")[-1]["detail"]
    again = start_both(machines, run, resume=True)
    wait_for(lambda: run.state().get("phase") == "training")
    os.kill(again[1].pid, signal.SIGTERM)  # told to the second machine; both save and stop
    assert [process.wait(60) for process in again] == [3, 0]
    assert "saved at step" in Carried(run).of("end")[-1]["detail"]
    assert_same(one, carry(run, resume=True), close=1e-3)
