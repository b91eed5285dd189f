"""Commands that stand for SLURM's, first on PATH: job 12 is in the queue as the file `queue` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs import slurm

WAITS = "PENDING|Priority||N/A|main\n"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, queue: str = WAITS) -> Path:
    """Make the commands in `folder` and put it on PATH. What sbatch was given is listed in its file `submitted`."""
    folder.mkdir()
    (folder / "queue").write_text(queue)
    scripts = {"sbatch": f'echo "$@" >> {folder}/submitted\nprintf "{WAITS.strip()}\\n" > {folder}/queue\necho 12',
               "squeue": f"cat {folder}/queue", "scancel": f": > {folder}/queue"}  # fmt: skip
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    slurm._answers.clear()
    return folder


def submitted(folder: Path) -> list[str]:
    """The command lines that sbatch was called with."""
    path = folder / "submitted"
    return path.read_text().splitlines() if path.exists() else []
