"""The kernel kills the engine for memory: a real control group with a limit that the libraries alone exceed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runs.liveness import liveness
from tests.chaos.detached import PROJECT, wait_for
from tests.chaos.rig import Workshop
from tests.engine.train.carried import Carried, carry

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("chaos")]
LIMIT_BYTES = 250 << 20
ROOT = Path("/sys/fs/cgroup")
ENTER = ("import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); "
         "os.execv(sys.executable, [sys.executable, '-P', '-m', 'engine', 'train', sys.argv[2]])")  # fmt: skip


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group that may hold a quarter of a gigabyte, of either version."""
    first = (ROOT / "cgroup.controllers").is_file()
    group = (ROOT if first else ROOT / "memory") / f"tunewright-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.max" if first else "memory.limit_in_bytes")).write_text(str(LIMIT_BYTES))
        with contextlib.suppress(OSError):  # no swap to hide in, where it is counted
            (group / ("memory.swap.max" if first else "memory.memsw.limit_in_bytes")).write_text(
                "0" if first else str(LIMIT_BYTES))  # fmt: skip
    except OSError:
        pytest.skip("this system lets no test make a control group with a limit")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text().strip(), 10)
    group.rmdir()


def test_a_kill_for_memory_is_recognised_and_said(tmp_path: Path, small_group: Path) -> None:
    run = Workshop.build(tmp_path).run("killed")
    command = [sys.executable, "-c", ENTER, str(small_group / "cgroup.procs"), str(run.path)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    code = subprocess.run(command, env=environment, check=False, timeout=120).returncode
    assert code == -9, run.log_path.read_text()[-2000:]
    now = liveness(run)
    assert now.state == "lost"
    assert "ran out of memory (RAM)" in now.detail
    again = carry(run, resume=True)
    assert again.code == 0
    (told,) = (event for event in Carried(run).of("warning") if event.get("kind") == "memory")
    assert "RAM" in told["what"] and told["fix"]
