"""Asking a child process to render a model's own chat template.

A chat template is code from the internet. The sandbox keeps it from touching anything, but it may still loop for ever
or eat memory, so it runs in a child process: a slow row ends by a timer in the child, a child that does not answer is
killed.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from engine.data.template import TemplateFault
from engine.data.template_child import SECONDS_PER_ROW
from engine.data.template_rendering import Rendering, Request
from engine.errors import UserError

SECONDS_TO_START = 20
_ROWS_AT_ONCE = 64
_BYTES_AT_ONCE = 4 << 20


class TemplateProcess:
    """A child that renders one template. It starts with the first request and ends with `close`."""

    def __init__(
        self,
        source: str,
        specials: Mapping[str, str],
        today: datetime.datetime | None = None,
        special_texts: Collection[str] = (),
    ) -> None:
        self._setup = {
            "source": source,
            "specials": dict(specials),
            "today": today.isoformat() if today else None,
            "special_texts": sorted(special_texts),
        }
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting = b""

    def render_many(self, requests: Sequence[Request]) -> list[Rendering]:
        """One rendering per request, in order."""
        done: list[Rendering] = []
        while len(done) < len(requests):
            done += self._exchange(_portion(requests, len(done)))
        return done

    def _exchange(self, requests: Sequence[Request]) -> list[Rendering]:
        """Send some requests and wait for their answers. Where the child dies or hangs, that row gets the fault."""
        done: list[Rendering] = []
        try:
            child = self._started()
            assert child.stdin is not None
            child.stdin.write(("[" + ",".join(request.line() for request in requests) + "]\n").encode())
            child.stdin.flush()
            for _ in requests:
                text, spans, fault = json.loads(self._line(SECONDS_PER_ROW + 1))
                done.append(Rendering(text, tuple((start, end) for start, end in spans), fault))
        except TimeoutError:
            self.close()
            done.append(Rendering(fault=f"The template did not end within {SECONDS_PER_ROW} seconds."))
        except (OSError, EOFError, ValueError):
            self.close()
            done.append(Rendering(fault="The template used more memory than it may, and was ended."))
        return done

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            root = str(Path(__file__).resolve().parents[2])
            path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
            self._child = subprocess.Popen(
                [sys.executable, "-m", "engine.data.template_child"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**_bare_environment(), "PYTHONPATH": path},
            )  # fmt: skip
            fault = self._set_up(self._child)
            if fault:
                self.close()
                raise TemplateFault(fault)
        return self._child

    def _set_up(self, child: subprocess.Popen[bytes]) -> str:
        """Hand the template over; what is wrong with it, or nothing. UserError when the child ends before it answers,
        which is no fault of the template."""
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(self._setup).encode() + b"\n")
            child.stdin.flush()
            return str(json.loads(self._line(SECONDS_TO_START))["fault"])
        except TimeoutError:
            raise  # a template may do that
        except (OSError, EOFError) as error:
            self.close()
            what = f"The process that renders chat templates ended at its start (exit code {child.returncode})."
            fix = "Look whether memory is short or processes are limited (ulimit -a), and try again."
            raise UserError(what, sys.executable, fix, 1) from error

    def _line(self, seconds: float) -> bytes:
        """One line of the child's output. TimeoutError when it takes too long, EOFError when the child has ended."""
        assert self._child is not None and self._child.stdout is not None
        descriptor = self._child.stdout.fileno()
        until = time.monotonic() + seconds
        parts = [self._waiting]
        while b"\n" not in parts[-1]:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            block = os.read(descriptor, 1 << 20)
            if not block:
                raise EOFError
            parts.append(block)
        line, _, self._waiting = b"".join(parts).partition(b"\n")
        return line

    def close(self) -> None:
        """End the child, whatever it is doing."""
        child, self._child, self._waiting = self._child, None, b""
        if child is None:
            return
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def _portion(requests: Sequence[Request], start: int) -> Sequence[Request]:
    """The next requests: few enough that neither side holds much at once."""
    end, size = start, 0
    while end < len(requests) and end - start < _ROWS_AT_ONCE and size < _BYTES_AT_ONCE:
        size += sum(len(str(message.get("content", ""))) for message in requests[end].messages)
        end += 1
    return requests[start:end]


def _bare_environment() -> dict[str, str]:
    """What Python needs to start, and nothing that a template has any business to know."""
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUTF8": "1"}
