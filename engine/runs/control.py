"""Requests to a running engine: small files that it polls, answers by an event, and removes.

No socket and no port: this works over NFS, from several viewers at once, and when nobody is listening yet.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from engine.errors import UserError
from engine.runs.files import read_json, write_atomic
from engine.runs.store import Run

ACTIONS = ("save", "stop", "pause", "resume", "evaluate", "sample")


@dataclass(frozen=True)
class Request:
    """One thing that somebody asked the engine for. `identity` is unique and sorts by time."""

    identity: str
    action: str
    arguments: dict[str, Any] = field(default_factory=dict)


def request(run: Run, action: str, **arguments: Any) -> str:
    """Ask the engine of `run` for `action` and return the identity that its `control` event will carry.

    Raises UserError when the request cannot be written.
    """
    if action not in ACTIONS:
        raise UserError(f"A run cannot be asked to {action!r}.", run.name, f"Use one of: {', '.join(ACTIONS)}.")
    identity = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    try:
        run.control_dir.mkdir(mode=0o700, exist_ok=True)
        document = json.dumps({"action": action, "arguments": arguments})
        write_atomic(run.control_dir / f"{identity}.json", document)
    except OSError as error:
        fix = "Make room on the disk, or send SIGTERM to the engine: it stops and saves as well."
        raise UserError(f"The request cannot be written: {error.strerror}.", str(run.control_dir), fix) from error
    return identity


def pending(run: Run) -> list[Request]:
    """Requests that wait, oldest first. Files that hold no request are removed."""
    found: list[Request] = []
    with contextlib.suppress(OSError):
        for path in sorted(run.control_dir.glob("[!.]*.json")):
            document = read_json(path)
            action, arguments = document.get("action"), document.get("arguments", {})
            if action in ACTIONS and isinstance(arguments, dict):
                found.append(Request(path.stem, action, arguments))
            else:
                path.unlink(missing_ok=True)
    return found


def acknowledge(run: Run, identity: str) -> None:
    """Remove a request that the engine has taken; its `control` event is the answer."""
    with contextlib.suppress(OSError):
        (run.control_dir / f"{identity}.json").unlink(missing_ok=True)


def discard_requests(run: Run) -> None:
    """Remove every request that waits: it was asked of an engine that is gone, and the next one must not obey it."""
    for old in pending(run):
        acknowledge(run, old.identity)
