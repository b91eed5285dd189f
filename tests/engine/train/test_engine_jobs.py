"""The frame of a job: one request in, JSON lines out, noise elsewhere, and an end when nobody asks any more."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.conftest import PROJECT

JOB = """
import sys, time
from engine.errors import UserError
def double(request, emit, requests):
    print("noise of a library")
    emit({"progress": {"done": 1}})
    return {"double": request["number"] * 2}
def refuse(request, emit, requests):
    raise UserError("Row 3 is broken.", "rows.jsonl:3", "Mend it.")
def fail(request, emit, requests):
    raise KeyError("oops")
def talk(request, emit, requests):
    for more in requests:
        emit({"echo": more})
def sleep(request, emit, requests):
    emit({"progress": {}})
    time.sleep(600)
"""
RUN = "import sys; from engine import jobs; jobs.JOBS = {n: 'own_jobs:' + n for n in sys.argv[2].split(',')}; " \
      "sys.exit(jobs.serve(sys.argv[1]))"  # fmt: skip


def start(tmp_path: Path, name: str) -> subprocess.Popen[bytes]:
    (tmp_path / "own_jobs.py").write_text(JOB)
    environment = {"PYTHONPATH": f"{PROJECT}:{tmp_path}", "PATH": "/usr/bin"}
    command = [sys.executable, "-c", RUN, name, "double,refuse,fail,talk,sleep"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)


def ask(tmp_path: Path, name: str, line: bytes) -> tuple[list[dict[str, Any]], int, str]:
    """Send one line and keep stdin open until the job ends: (messages, exit code, stderr)."""
    with start(tmp_path, name) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(line + b"\n")
        process.stdin.flush()
        messages = [json.loads(text) for text in process.stdout.read().splitlines()]
        return messages, process.wait(), process.stderr.read().decode()


def test_progress_and_result_with_noise_elsewhere(tmp_path: Path) -> None:
    messages, code, noise = ask(tmp_path, "double", b'{"number": 21}')
    assert messages == [{"progress": {"done": 1}}, {"result": {"double": 42}}]
    assert code == 0
    assert "noise of a library" in noise


def test_a_refusal_is_a_user_error(tmp_path: Path) -> None:
    messages, code, _ = ask(tmp_path, "refuse", b"{}")
    error = {"what": "Row 3 is broken.", "where": "rows.jsonl:3", "fix": "Mend it.", "exit_code": 2}
    assert messages == [{"error": error}]
    assert code == 2


def test_a_failure_is_a_sentence_and_its_trace_is_in_the_log(tmp_path: Path) -> None:
    messages, code, noise = ask(tmp_path, "fail", b"{}")
    assert "KeyError" in messages[0]["error"]["what"]
    assert "Traceback" in noise
    assert code == 1


def test_unknown_jobs_and_broken_requests_are_refused(tmp_path: Path) -> None:
    messages, code, _ = ask(tmp_path, "nonsense", b"{}")
    assert (code, "nonsense" in messages[0]["error"]["what"]) == (2, True)
    for line in (b"no json", b"[1]", b"\xff"):
        messages, code, _ = ask(tmp_path, "double", line)
        assert (code, "JSON object" in messages[0]["error"]["what"]) == (2, True)


def test_a_conversation_goes_on_until_stdin_closes(tmp_path: Path) -> None:
    with start(tmp_path, "talk") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{}\n{"n": 1}\n{"n": 2}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"echo": {"n": 1}}
        assert json.loads(process.stdout.readline()) == {"echo": {"n": 2}}
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_busy_job_ends_when_stdin_closes(tmp_path: Path) -> None:
    with start(tmp_path, "sleep") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        process.stdout.readline()
        started = time.monotonic()
        process.stdin.close()
        process.wait(10)
        assert time.monotonic() - started < 5


def test_usage_and_a_folder_that_is_no_run(tmp_path: Path) -> None:
    for arguments in ([], ["train"], ["train", str(tmp_path)]):
        command = [sys.executable, "-m", "engine", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
        assert done.returncode == 2
        assert done.stderr
        assert "Traceback" not in done.stderr
