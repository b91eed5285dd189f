"""Jobs: framing, errors, noise on stderr, and children that never outlive their parent.

The child here is a small script instead of the engine, so that every case takes milliseconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from engine.errors import UserError
from tui import job_child, jobs
from tui.async_job import AsyncJob
from tui.places import state_directory

CHILD = """
import json, subprocess, sys, time
def say(**message): print(json.dumps(message), flush=True)
"""


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Make every job run `body` instead of the engine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def use(body: str) -> None:
        script = tmp_path / "child.py"
        script.write_text(CHILD + textwrap.dedent(body))
        monkeypatch.setattr(job_child, "job_command", lambda name: [sys.executable, str(script)])

    return use


def logs() -> list[Path]:
    return list((state_directory() / "logs").glob("*.log"))


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether the process ends in time; a zombie has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_result_and_progress(child) -> None:
    child("""
    request = json.loads(sys.stdin.readline())
    say(progress={"done": 1})
    print("noise from a library", flush=True)
    say(progress={"done": 2})
    say(result={"double": request["number"] * 2})
    """)
    seen: list[object] = []
    assert jobs.run_job("data", {"number": 21}, seen.append) == {"double": 42}
    assert seen == [{"done": 1}, {"done": 2}]
    assert logs() == []


def test_the_error_of_a_job_is_a_user_error(child) -> None:
    child("""say(error={"what": "Row 3 is broken.", "where": "rows.jsonl:3", "fix": "Mend it.", "exit_code": 2})""")
    with pytest.raises(UserError) as caught:
        jobs.run_job("data", {})
    assert caught.value.as_dict() == {
        "what": "Row 3 is broken.", "where": "rows.jsonl:3", "fix": "Mend it.", "exit_code": 2,
    }  # fmt: skip
    assert logs() == []


def test_a_failure_that_nobody_foresaw_names_the_log(child) -> None:
    child("""
    print("the details", file=sys.stderr)
    say(error={"what": "It failed.", "exit_code": 1})
    """)
    with pytest.raises(UserError) as caught:
        jobs.run_job("data", {})
    assert "the details" in Path(caught.value.where).read_text()


def test_a_job_that_dies_names_its_log(child) -> None:
    child("""raise MemoryError("no room")""")
    with pytest.raises(UserError) as caught:
        jobs.run_job("chat", {})
    assert caught.value.exit_code == 1
    assert "MemoryError: no room" in caught.value.what
    assert "Traceback" in Path(caught.value.where).read_text()


def test_a_killed_job_is_explained_by_memory(child) -> None:
    child("""import os; os.kill(os.getpid(), 9)""")
    with pytest.raises(UserError) as caught:
        jobs.run_job("chat", {})
    assert "memory" in caught.value.fix


def test_a_job_that_ends_well_without_result_is_an_error(child) -> None:
    child("""say(progress=1)""")
    with pytest.raises(UserError, match="without an answer"):
        jobs.run_job("data", {})


def test_a_flood_on_stderr_blocks_nothing(child) -> None:
    child("""
    sys.stderr.write("x" * 5_000_000); sys.stderr.flush()
    say(result={"ok": True})
    """)
    assert jobs.run_job("data", {}) == {"ok": True}


def test_a_result_longer_than_any_buffer(child) -> None:
    child("""say(result={"text": "é" * 400_000})""")
    assert jobs.run_job("data", {})["text"] == "é" * 400_000


def test_a_conversation_goes_on_after_an_error(child) -> None:
    child("""
    for line in sys.stdin:
        request = json.loads(line)
        if "bad" in request: say(error={"what": "Too long."})
        else: say(reply=request)
    """)
    with jobs.Job("chat", {"run": "a"}) as job:
        assert next(job.messages()) == {"reply": {"run": "a"}}
        job.send({"bad": 1})
        with pytest.raises(UserError, match="Too long"):
            next(job.messages())
        job.send({"prompt": "b"})
        assert next(job.messages()) == {"reply": {"prompt": "b"}}


def test_close_ends_a_child_that_does_not_listen_and_its_own_children(child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_child.Child, "GRACE_SECONDS", 0.1)
    child("""
    inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    say(pids=[inner.pid])
    time.sleep(60)
    """)
    with jobs.Job("chat", {}) as job:
        pids = [*next(job.messages())["pids"], job._process.pid]
    assert all(gone(pid) for pid in pids)


def test_the_job_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(CHILD + "import os\nfirst = sys.stdin.readline()\nsay(pid=os.getpid())\nsys.stdin.read()\n")
    parent = textwrap.dedent(f"""
        import sys, time
        from tui import job_child, jobs
        job_child.job_command = lambda name: [sys.executable, {str(child)!r}]
        with jobs.Job("chat", {{}}) as job:
            print(next(job.messages())["pid"], flush=True)
            time.sleep(60)
    """)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    assert gone(pid)


async def test_async_result_progress_and_large_answer(child) -> None:
    child("""
    request = json.loads(sys.stdin.readline())
    say(progress=1)
    say(result={"text": "x" * 300_000, "name": request["name"]})
    """)
    seen: list[object] = []
    async with AsyncJob("data", {"name": "n"}) as job:
        result = await job.result(seen.append)
    assert (len(result["text"]), result["name"], seen) == (300_000, "n", [1])
    assert logs() == []


async def test_async_conversation_and_close(child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_child.Child, "GRACE_SECONDS", 0.1)
    child("""
    import os
    for line in sys.stdin:
        request = json.loads(line)
        if "bad" in request: say(error={"what": "Too long."})
        else: say(reply=request, pid=os.getpid())
    time.sleep(60)
    """)
    job = AsyncJob("chat", {"run": "a"})
    await job.start()
    first = await anext(job.messages())
    assert first["reply"] == {"run": "a"}
    await job.send({"bad": 1})
    with pytest.raises(UserError, match="Too long"):
        await anext(job.messages())
    await job.send({"prompt": "b"})
    assert (await anext(job.messages()))["reply"] == {"prompt": "b"}
    await job.close()
    await job.close()
    assert gone(first["pid"])


async def test_async_job_that_dies(child) -> None:
    child("""raise SystemExit("bad luck")""")
    async with AsyncJob("data", {}) as job:
        with pytest.raises(UserError, match="bad luck"):
            await job.result()


def test_only_the_newest_logs_are_kept(child) -> None:
    child("""raise SystemExit(1)""")
    folder = state_directory() / "logs"
    folder.mkdir(parents=True)
    for number in range(40):
        (folder / f"job-2020010{number // 10}-00000{number % 10}-data-x.log").touch()
    with pytest.raises(UserError):
        jobs.run_job("data", {})
    assert len(logs()) == job_child.LOGS_KEPT + 1
