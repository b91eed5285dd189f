"""Bounds on what a job may use, so that a hostile file ends in a sentence and not in a frozen machine."""

from __future__ import annotations

import contextlib
import resource

JOB_MEMORY_BYTES = 8 << 30
"""Address space of the data job. The largest tokenizers, pyarrow and a 64 MB row fit many times over."""
JOB_CPU_SECONDS = 3600


def limit_this_process(memory_bytes: int = JOB_MEMORY_BYTES, cpu_seconds: int = JOB_CPU_SECONDS) -> None:
    """Lower the limits of this process for good. Limits that are lower already stay; systems without them are passed
    over."""
    for kind, wanted in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):
            soft, hard = resource.getrlimit(kind)
            limit = wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
            resource.setrlimit(kind, (limit, hard))
