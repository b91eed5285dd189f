"""The child that renders a model's own chat template, within limits of time and memory that it sets itself.

It is started by `engine.data.template_process`: one line of setup on stdin, then lines of requests.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import signal
import sys

from engine.data.spans import SpanFinder
from engine.data.template import ChatTemplate, TemplateFault
from engine.data.template_rendering import Rendering, Request, render_request

SECONDS_PER_ROW = 5
MEMORY_BYTES = 1 << 30
LONGEST_TEXT = 64 << 20


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
