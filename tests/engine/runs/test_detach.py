"""What ends a run besides itself: read from files and answers as systems give them, then decided by a pure function."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.runs import process
from engine.runs.detach import decide, scope_command, warnings_before_start
from engine.runs.lock import lock_owner
from engine.runs.signals import kill_engine
from engine.runs.store import Run, create_run
from engine.runs.surroundings import Surroundings, applies, read_surroundings

LOGIN, MANAGER = "session-3.scope", "user@1000.service"


@pytest.mark.parametrize(
    ("here", "how", "outlives", "words"),
    [
        (Surroundings(), "session", True, ""),
        (Surroundings(LOGIN, logout_kills=False), "session", True, "leaves programs running"),
        (Surroundings(LOGIN, logout_kills=False, lingers=True, has_manager=True), "session", True, "leaves"),
        (Surroundings(LOGIN, logout_kills=True, lingers=True, has_manager=True), "scope", True, "scope"),
        (Surroundings(LOGIN, logout_kills=True, lingers=True), "session", False, "ends your programs"),
        (Surroundings(LOGIN, logout_kills=True, has_manager=True), "session", False, "enable-linger"),
        (Surroundings(LOGIN, logout_kills=True, lingers=None, has_manager=True), "session", False, "enable-linger"),
        (Surroundings(LOGIN, logout_kills=None), "session", False, "could not be asked"),
        (Surroundings(LOGIN, logout_kills=None, lingers=True, has_manager=True), "scope", True, "scope"),
        (Surroundings(MANAGER, logout_kills=False), "session", False, "ends your programs"),
        (Surroundings(MANAGER, logout_kills=False, lingers=True), "session", True, "linger is on"),
        (Surroundings(container="docker"), "session", False, "--follow"),
        (Surroundings(container="kubernetes"), "session", False, "kubernetes"),
        (Surroundings(slurm_job="77", container="docker"), "session", False, "SLURM job 77"),
        (Surroundings(LOGIN, slurm_job="77", slurm_end=1000.0 + 7500), "session", False, "2 h 5 min"),
    ],
)  # fmt: skip
def test_the_decision(here: Surroundings, how: str, outlives: bool, words: str) -> None:
    found = decide(here, now=1000.0)
    assert (found.how, found.outlives) == (how, outlives)
    assert words in f"{found.sentence} {found.fix}"
    assert bool(warnings_before_start(found)) is not outlives


@pytest.mark.parametrize(
    ("lines", "user", "kills"),
    [
        (("b false", "as 0", "as 0"), "ann", False),
        (("b true", "as 0", 'as 1 "root"'), "ann", True),
        (("b true", "as 0", 'as 1 "root"'), "root", False),
        (("b true", 'as 2 "ben" "cid"', "as 0"), "ann", False),
        (("b true", 'as 2 "ben" "ann"', "as 0"), "ann", True),
        (("", "", ""), "ann", False),
    ],
)
def test_the_rule_of_logind(lines: tuple[str, str, str], user: str, kills: bool) -> None:
    assert applies(*lines, user) is kills


def system(root: Path, cgroup: str, *marks: str) -> Path:
    """A file system with the few files that are looked at."""
    for name in ("proc/self/cgroup", *marks):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(cgroup if name.endswith("cgroup") else "")
    return root


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/user.slice/user-1000.slice/session-3.scope\n", LOGIN),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n", MANAGER),
        ("4:memory:/user.slice\n1:name=systemd:/user.slice/session-c1.scope\n0::/\n", "session-c1.scope"),
        ("0::/system.slice/sshd.service\n", ""),
        ("0::/\n", ""),
        ("rubbish", ""),
    ],
)  # fmt: skip
def test_the_unit_that_holds_us(tmp_path: Path, cgroup: str, unit: str) -> None:
    assert read_surroundings({}, system(tmp_path, cgroup)).unit == unit


@pytest.mark.parametrize(
    ("environment", "marks", "container"),
    [
        ({}, (), ""), ({}, (".dockerenv",), "docker"), ({}, ("run/.containerenv",), "podman"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, (".dockerenv",), "kubernetes"),
    ],
)  # fmt: skip
def test_containers(tmp_path: Path, environment: dict[str, str], marks: tuple[str, ...], container: str) -> None:
    assert read_surroundings(environment, system(tmp_path, "0::/\n", *marks)).container == container


def test_a_job_and_its_end_are_read_and_bad_numbers_are_none(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/\n")
    found = read_surroundings({"SLURM_JOB_ID": "8", "SLURM_JOB_END_TIME": "1700000000"}, root)
    assert (found.slurm_job, found.slurm_end) == ("8", 1.7e9)
    assert read_surroundings({"SLURM_JOB_ID": "8", "SLURM_JOB_END_TIME": "soon"}, root).slurm_end is None


@pytest.mark.parametrize(
    ("answers", "kills", "lingers"),
    [
        ({"busctl": "printf 'b true\\nas 0\\nas 1 \"nobody-else\"\\n'", "loginctl": "echo yes"}, True, True),
        ({"busctl": "printf 'b false\\nas 0\\nas 0\\n'", "loginctl": "echo no"}, False, False),
        ({"busctl": "echo no bus >&2; exit 1", "loginctl": "exit 1"}, None, None),
        ({}, None, None),
    ],
)
def test_logind_is_asked_by_its_own_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], kills: bool | None, lingers: bool | None
) -> None:
    programs(tmp_path / "bin", answers, monkeypatch)
    root = system(tmp_path / "root", f"0::/user.slice/{LOGIN}\n", "run/systemd/system/x")
    found = read_surroundings({}, root)
    assert (found.logout_kills, found.lingers) == (kills, lingers)


def programs(folder: Path, answers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put shell scripts where programs are looked for, and nothing else but the shell."""
    folder.mkdir()
    for name, body in answers.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_without_systemd_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked"))
    found = read_surroundings({}, system(tmp_path, f"0::/user.slice/{LOGIN}\n"))
    assert found.logout_kills is False


ENGINE = """#!/bin/sh
exec {python} -c '
import sys, time
from pathlib import Path
from engine.runs.lock import EngineLock
from engine.runs.store import Run
with EngineLock(Run(Path.cwd())):
    time.sleep(60)
'
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose engine only holds its lock."""
    python = tmp_path / "python"
    python.write_text(ENGINE.format(python=process.sys.executable))
    python.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(python))
    answers = {"model.source": Answer("m", "you", ""), "data.source": Answer("d", "you", "")}
    return create_run(Recipe.from_answers(answers), tmp_path, "a")


SCOPE = decide(Surroundings(LOGIN, logout_kills=True, lingers=True, has_manager=True))


@pytest.mark.parametrize(("body", "asked"), [('for a; do [ "$a" = -- ] && break; shift; done; shift; exec "$@"', True),
                                            ("exit 1", False)])  # fmt: skip
def test_the_engine_gets_a_scope_or_goes_without(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, asked: bool
) -> None:
    programs(tmp_path / "bin", {"systemd-run": f'echo "$@" > {tmp_path}/asked\n{body}'}, monkeypatch)
    monkeypatch.setattr(process, "detachment", lambda: SCOPE)
    pid = process.launch(run)
    try:
        owner = lock_owner(run)
        assert owner is not None and owner.pid == pid
        assert os.getsid(pid) == pid
        words = (tmp_path / "asked").read_text().split()
        assert words[:4] == ["--user", "--scope", "--quiet", "--collect"] and "engine" in words
    finally:
        assert kill_engine(run)


def test_a_scope_has_a_name_of_its_own() -> None:
    names: list[Any] = [scope_command("a")[5] for _ in range(2)]
    assert names[0] != names[1]


def test_who_comes_second_is_told_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ask while the lock is free; the engine of one of them finds it taken, and its launcher hears of it."""
    pid = process.launch(run)
    real = process.lock_owner
    asked: list[int] = []

    def late(run: Run) -> Any:
        asked.append(1)
        return None if len(asked) == 1 else real(run)  # the first look came before the other engine began

    monkeypatch.setattr(process, "lock_owner", late)
    with pytest.raises(UserError, match=f"process {pid}"):
        process.launch(run)
    monkeypatch.setattr(process, "lock_owner", real)
    assert kill_engine(run)
