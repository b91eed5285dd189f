"""A run outlives whatever looks at it: hang-up, kill, SIGTERM, leaving; and the next viewer finds it."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runs.history import load_history
from engine.runs.liveness import liveness
from engine.runs.store import Run
from tests.conftest import PROJECT
from tests.pty import fake_engine
from tests.terminal import Terminal

ENTER_ALTERNATE_SCREEN = b"\x1b[?1049h"
LEAVE_ALTERNATE_SCREEN = b"\x1b[?1049l"
MOUSE_OFF = b"\x1b[?1003l"
CURSOR_ON = b"\x1b[?25h"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def living(root: Path) -> Iterator[Run]:
    """A run that is training."""
    run = fake_engine.start(root, "alive", "--pace", "0.05")
    yield run
    fake_engine.end(run)


def viewer(root: Path, *options: str, **environment: str) -> Terminal:
    command = [sys.executable, "-m", "tui", "attach", "alive", "--runs", str(root), *options]
    return Terminal(command, environment=environment, directory=PROJECT)


def moves_on(run: Run, seconds: float = 5.0) -> bool:
    """Whether the run makes steps after now."""
    before = load_history(run).step
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if load_history(run).step > before:
            return liveness(run).alive
        time.sleep(0.05)
    return False


def test_hang_up_leaves_the_run_alive_and_attach_finds_it(root: Path, living: Run) -> None:
    with viewer(root) as terminal:
        terminal.wait_for("alive")
        terminal.hang_up()
        assert terminal.wait(5) is not None, "the viewer must not spin on a terminal that is gone"
    assert moves_on(living)
    with viewer(root) as again:
        again.wait_for("alive")
        shown = load_history(living).step
        assert shown > 0
        again.wait_for(" training ")


def test_kill_9_of_the_viewer_leaves_the_run_alive(root: Path, living: Run) -> None:
    with viewer(root) as terminal:
        terminal.wait_for("alive")
        terminal.signal(signal.SIGKILL)
        assert terminal.wait(5) == -signal.SIGKILL
    assert moves_on(living)
    with viewer(root) as again:
        again.wait_for("alive")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_signal_restores_the_terminal(number: signal.Signals, root: Path, living: Run) -> None:
    with viewer(root) as terminal:
        terminal.wait_for("alive")
        seen = len(terminal.raw())
        terminal.signal(number)
        assert terminal.wait(5) == 0
        terminal.read_for(0.2)
        after = terminal.raw()[seen:]
    for restored in (LEAVE_ALTERNATE_SCREEN, MOUSE_OFF, CURSOR_ON):
        assert restored in after
    assert moves_on(living)


def test_leaving_says_how_to_come_back_and_the_run_goes_on(root: Path, living: Run) -> None:
    with viewer(root) as terminal:
        terminal.wait_for("alive")
        terminal.send("ctrl+q")
        assert terminal.wait(5) == 0
    assert moves_on(living)


def test_ctrl_z_stops_the_viewer_alone_and_fg_brings_it_back(root: Path, living: Run) -> None:
    """As every program in a shell does; the run is no part of it."""
    command = shlex.join([sys.executable, "-m", "tui", "attach", "alive", "--runs", str(root)])
    shell = ["bash", "--norc", "-i", "-c", f"{command}; echo in the shell; read line; fg; echo over"]
    with Terminal(shell, directory=PROJECT) as terminal:
        terminal.wait_for("Detach")
        terminal.send("ctrl+z")
        assert "Stopped" in terminal.wait_for("in the shell")
        assert moves_on(living)
        terminal.send("enter")
        came = ENTER_ALTERNATE_SCREEN
        terminal.wait_until(lambda _: b"".join(data for _, data in terminal.output).count(came) == 2, "second screen")

        def leaves(shown: str) -> bool:
            terminal.send("ctrl+q")  # lost until the program reads keys again: it paints before it does
            return "over" in shown

        terminal.wait_until(leaves, "end")
    assert moves_on(living)


def test_ctrl_z_without_a_shell_says_so_and_goes_on(root: Path, living: Run) -> None:
    with viewer(root) as terminal:
        terminal.wait_for("Detach")
        terminal.send("ctrl+z")
        terminal.wait_for("There is no shell to go to")
        terminal.send("ctrl+q")
        assert terminal.wait(10) == 0


def test_two_viewers_at_once(root: Path, living: Run) -> None:
    with viewer(root) as one, viewer(root) as other:
        one.wait_for("alive")
        other.wait_for("alive")
    assert moves_on(living)


def test_ctrl_c_on_plain_lines_leaves_the_run_running(root: Path, living: Run) -> None:
    with viewer(root, "--plain") as terminal:
        terminal.wait_for("step ")
        terminal.send("ctrl+c")
        assert terminal.wait(5) == 130
        assert "The run goes on" in terminal.text()
    assert moves_on(living)


def test_a_dumb_terminal_gets_lines_without_escapes(root: Path, living: Run) -> None:
    with viewer(root, TERM="dumb") as terminal:
        terminal.wait_for("step ")
        assert b"\x1b" not in terminal.raw()


def test_a_hung_up_line_viewer_ends(root: Path, living: Run) -> None:
    with viewer(root, "--plain") as terminal:
        terminal.wait_for("step ")
        terminal.hang_up()
        assert terminal.wait(5) is not None
    assert moves_on(living)


@pytest.mark.parametrize("environment", [
    {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C.UTF-8"},
    {"PYTHONIOENCODING": "ascii", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
], ids=["the locale says UTF-8", "nothing says UTF-8"])  # fmt: skip
def test_no_sign_is_sent_as_an_escaped_number(environment: dict[str, str], root: Path, living: Run) -> None:
    with viewer(root, **environment) as terminal:
        terminal.wait_for("alive")
        terminal.read_for(1.0)
        assert b"\\u2" not in terminal.raw()
