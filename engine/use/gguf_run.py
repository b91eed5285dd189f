"""Running a script of llama.cpp's converter as a child, and reporting what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.emit import Emit
from engine.errors import UserError

CONVERTER_TYPES = ("f32", "f16", "bf16", "q8_0")
"""Number formats that the converter writes itself."""
_ROOT = Path(__file__).resolve().parents[2]


def run_converter(tools: Path, script: str, arguments: Sequence[str], pre: str, emit: Emit) -> None:
    """Run a script of the converter as a child and report its lines. Raises UserError with its last words."""
    command = [sys.executable, "-P", "-m", "engine.use.gguf_child", str(tools), pre, script, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    last = ""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          env=environment, cwd=tools) as child:  # fmt: skip
        assert child.stderr is not None
        for line in _lines(child.stderr):
            last = line
            if line.startswith(("INFO", "Writing")):
                emit({"progress": {"phase": "converting", "detail": line[:160]}})
    if child.returncode:
        fix = "The converter may be older than the model. Give a newer checkout with --llama-cpp."
        raise UserError(f"llama.cpp's converter failed: {last[:300]}", script, fix, exit_code=1)


def _lines(stream: Any) -> Any:
    """Lines of a program that also draws progress bars: both ends of line count."""
    waiting = b""
    while block := stream.read1(4096):
        *whole, waiting = re.split(rb"[\r\n]+", waiting + block)
        yield from (line.decode("utf-8", "replace").strip() for line in whole if line.strip())
    if waiting.strip():
        yield waiting.decode("utf-8", "replace").strip()
