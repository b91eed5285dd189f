"""The playground's job from outside: how soon a warm model begins to answer, and how soon its memory is free again.

    python -m tests.bench.playground RUN_DIRECTORY [CHECKPOINT]

Starts the job "chat" as the page does, asks five questions and ends it as leaving the page does. Times are wall-clock;
memory is the resident memory of the job's process.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

from tui.async_job import AsyncJob
from tui.screens.playground_asking import request_for
from tui.watch.held_out import HeldOut

QUESTIONS = ("Hello", "Two pizzas, please", "What is 2 + 2?", "Once upon a time", "Order a kettle")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process, 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


async def main() -> None:
    request = {"run": sys.argv[1], **({"checkpoint": sys.argv[2]} if len(sys.argv) > 2 else {})}
    job = AsyncJob("chat", request)
    began = time.perf_counter()
    await job.start()
    messages = job.messages()
    async for message in messages:
        if "ready" in message:
            break
    print(f"loaded after {time.perf_counter() - began:.1f} s")
    first: list[float] = []
    for question in QUESTIONS:
        asked, heard = time.perf_counter(), 0.0
        await job.send(request_for(HeldOut((("user", question),), "", 0), ["base", "tuned"], {}, {"max_tokens": 32}))
        async for message in messages:
            if "token" in message and not heard:
                heard = time.perf_counter() - asked
            if "reply" in message:
                break
        first.append(heard or time.perf_counter() - asked)
    print(f"first token after {1000 * statistics.median(first):.0f} ms (worst {1000 * max(first):.0f})")
    pid = job._running().pid
    held, left = resident_bytes(pid), time.perf_counter()
    await job.close()
    while resident_bytes(pid):
        await asyncio.sleep(0.01)
    print(f"{held / 2**20:.0f} MiB held; free {1000 * (time.perf_counter() - left):.0f} ms after the page was left")


if __name__ == "__main__":
    asyncio.run(main())
