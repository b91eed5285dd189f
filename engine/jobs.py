"""Jobs: heavy work that the terminal side asks for and waits for, each in a process of its own.

The first line on stdin is the request, later lines are further requests. Every line on stdout is one JSON object:
{"progress": ...}, whatever a conversation says, and at the end {"result": ...} or {"error": {"what", "where", "fix"}}.
The process ends when its stdin closes, so that it never outlives the terminal that asked for it.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from engine.emit import Emit
from engine.errors import UserError

Request = dict[str, Any]
Job = Callable[[Request, Emit, Iterator[Request]], dict[str, Any]]

READ_BYTES = 65_536

JOBS: dict[str, str] = {
    "data": "engine.data.inspect:inspect_data",
    "rows": "engine.data.row_view:serve_rows",
    "chat": "engine.use.chat_job:job",
    "evaluate": "engine.use.evaluate:job",
    "export": "engine.use.export:job",
    "leaving": "engine.use.leaving:job",
    "adapters": "engine.use.adapters:job",
    "simulate": "engine.plan.simulate:simulate_job",
}
"""Name -> "module:function"; a module is imported only when its job is asked for."""


def serve(name: str) -> int:
    """Answer the request on stdin with the job called `name`; returns the exit code.

    Libraries print what they like: everything that is written to stdout by others goes to stderr.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    emit = _emitter(answers)
    try:
        job = _load(name)
        requests = _requests(sys.stdin.fileno())
        emit({"result": job(_first(requests), emit, requests)})
    except UserError as error:
        emit({"error": error.as_dict()})
        return error.exit_code
    except BaseException as error:  # the last stop: nobody above could turn this into a sentence
        traceback.print_exc()
        emit({"error": _unexpected(name, error).as_dict()})
        return 1
    return 0


def _load(name: str) -> Job:
    if name not in JOBS:
        raise UserError(f"There is no job called {name!r}.", "engine job", f"Use one of: {', '.join(JOBS)}.")
    module, function = JOBS[name].split(":")
    job: Job = getattr(importlib.import_module(module), function)
    return job


def _emitter(stream: BinaryIO) -> Emit:
    guard = threading.Lock()

    def emit(message: dict[str, Any]) -> None:
        line = json.dumps(message, default=str).encode() + b"\n"
        with guard:
            try:
                stream.write(line)
                stream.flush()
            except BrokenPipeError:
                os._exit(0)  # nobody listens any more

    return emit


def _requests(stdin: int) -> Iterator[Request]:
    """Requests as they come. A thread reads them, so that a closed stdin ends a job that is busy.

    It reads the bare descriptor: Python aborts at its end when a thread still holds the lock of `sys.stdin`.
    """
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        rest = b""
        while chunk := os.read(stdin, READ_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                waiting.put(line)
        sys.stderr.flush()
        os._exit(0)

    threading.Thread(target=read, name="requests", daemon=True).start()
    while True:
        line = waiting.get()
        if line.strip():
            yield _parse(line)


def _parse(line: bytes) -> Request:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise UserError("A request must be one JSON object on one line.", "stdin", "Send an object such as {}.")
    return request


def _first(requests: Iterator[Request]) -> Request:
    return next(requests)


def _unexpected(name: str, error: BaseException) -> UserError:
    what = f"The job {name!r} failed: {type(error).__name__}: {error}"
    return UserError(what[:600], "", "The log of the job has the details.", exit_code=1)
