"""Handing an exported model to Ollama by its own program."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any


async def create_in_ollama(result: dict[str, Any], folder: str) -> tuple[str, str]:
    """Run the first command of an export; (what came of it, its look)."""
    create, run = (list(map(str, command)) for command in result["commands"][:2])
    try:
        process = await asyncio.create_subprocess_exec(
            *create, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, cwd=folder,
        )  # fmt: skip
        _, told = await process.communicate()
    except OSError as error:
        return f"Ollama could not be started: {error.strerror}.", "bad"
    if process.returncode == 0:
        return f"Ollama has it. Talk to it in a terminal: {shlex.join(run)}", "good"
    last = told.decode(errors="replace").strip().splitlines()[-1:] or [""]
    return f"ollama create ended with code {process.returncode}. {last[0]}", "bad"
