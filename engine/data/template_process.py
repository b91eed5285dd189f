"""Rendering a model's own chat template in a child with time and memory limits.

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
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.spans import Span, SpanFinder
from engine.data.template import ChatTemplate, TemplateFault

SECONDS_PER_ROW = 5
SECONDS_TO_START = 20
MEMORY_BYTES = 1 << 30
LONGEST_TEXT = 64 << 20
_ROWS_AT_ONCE = 64
_BYTES_AT_ONCE = 4 << 20


@dataclass(frozen=True)
class Request:
    """One conversation to render: with spans of the `answers` (indexes), or as a prompt when `answers` is None."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Any] | None = None
    answers: Sequence[int] | None = None

    def line(self) -> str:
        """The request as JSON."""
        return json.dumps([list(self.messages), self.tools, self.answers], ensure_ascii=True)


@dataclass(frozen=True)
class Rendering:
    """The text and the spans of the answers; `fault` says why there are none."""

    text: str = ""
    spans: tuple[Span, ...] = ()
    fault: str = ""


def render_request(finder: SpanFinder, request: Request) -> Rendering:
    """Render in this process. Faults of the template become `Rendering.fault`."""
    try:
        if request.answers is None:
            text, _ = finder.template.render(request.messages, request.tools, add_generation_prompt=True)
            return Rendering(text)
        text, spans = finder.render(request.messages, request.tools, request.answers)
        return Rendering(text, tuple(spans))
    except TemplateFault as fault:
        return Rendering(fault=str(fault)[:500] or "The template failed without a reason.")


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
                [sys.executable, "-m", "engine.data.template_process"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**_bare_environment(), "PYTHONPATH": path},
            )  # fmt: skip
            assert self._child.stdin is not None
            self._child.stdin.write(json.dumps(self._setup).encode() + b"\n")
            self._child.stdin.flush()
            fault = json.loads(self._line(SECONDS_TO_START))["fault"]
            if fault:
                self.close()
                raise TemplateFault(fault)
        return self._child

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


def _limit() -> None:
    """Bound the memory of this process, and let it be ended by Ctrl-C of its parent only."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _out_of_time(*_: object) -> None:
    raise TemplateFault(f"The template did not end within {SECONDS_PER_ROW} seconds.")


def _child_render(finder: SpanFinder, request: Request) -> Rendering:
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_ROW)
    try:
        rendering = render_request(finder, request)
        if len(rendering.text) > LONGEST_TEXT:
            return Rendering(fault="The template writes more than 64 MB for one row.")
        return rendering
    except TemplateFault as fault:
        return Rendering(fault=str(fault))
    except MemoryError:
        return Rendering(fault="The template used more memory than it may.")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """The child: one line of setup, then lines of requests; one line of answer each."""
    _limit()
    signal.signal(signal.SIGALRM, _out_of_time)
    setup = json.loads(sys.stdin.buffer.readline())
    today = datetime.datetime.fromisoformat(setup["today"]) if setup["today"] else None
    out = sys.stdout.buffer
    try:
        finder = SpanFinder(ChatTemplate(setup["source"], setup["specials"], today), setup["special_texts"])
    except TemplateFault as fault:
        out.write(json.dumps({"fault": str(fault)}).encode() + b"\n")
        return
    out.write(b'{"fault": ""}\n')
    out.flush()
    for line in sys.stdin.buffer:
        for messages, tools, answers in json.loads(line):
            rendering = _child_render(finder, Request(messages, tools, answers))
            out.write(json.dumps([rendering.text, rendering.spans, rendering.fault]).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
