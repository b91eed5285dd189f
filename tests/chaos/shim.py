"""Compile the fault shim, and run the save bench with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("fault_shim.c")
PROJECT = Path(__file__).resolve().parents[2]


def can_compile() -> bool:
    """Whether this machine is a Linux with a C compiler."""
    return sys.platform == "linux" and shutil.which("cc") is not None


def compile_shim(folder: Path) -> Path:
    """Build the shared library in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "fault_shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def bench_saves(folder: Path, stride: int, methods: list[str]) -> dict[str, Any]:
    """The report of `tests.chaos.saves`: every `stride`-th case of each method."""
    library = compile_shim(folder)
    environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
                   "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(PROJECT)}  # fmt: skip
    command = [sys.executable, "-m", "tests.chaos.saves", str(folder / "bench"), str(stride), *methods]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
