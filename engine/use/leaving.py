"""The job "leaving": what an export could do here, answered in a moment and without loading anything heavy.

A page asks this before it asks a person, so that it offers what works and says the reason for what does not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

from engine.emit import Emit
from engine.models.gguf_support import gguf_support
from engine.use.finished import Result, open_result
from engine.use.gguf_check import python_with_llama_cpp
from engine.use.gguf_tools import PACKAGE, PACKAGE_BYTES, VERSION, find_converter


def leaving(result: Result) -> dict[str, Any]:
    """What is known of the ways out for one result; every value is plain JSON."""
    support = gguf_support(result.base if result.is_adapter else result.weights, result.tokenizer)
    found = find_converter()
    return {
        "run": result.run.name,
        "method": result.method,
        "adapter": result.is_adapter,
        "base": result.base_source,
        "gguf_problems": list(support.problems),
        "ollama_reads_directory": support.ollama_reads_directory,
        "converter": str(found or ""),
        "converter_source": f"{PACKAGE} {VERSION}",
        "converter_bytes": PACKAGE_BYTES,
        "quantizer": bool(shutil.which("llama-quantize") or python_with_llama_cpp()),
        "ollama": bool(shutil.which("ollama")),
        "exports": sorted(path.name for path in result.run.exports_dir.glob("[!.]*") if path.is_dir()),
        "checkpoints": sorted(path.name for path in result.run.checkpoints_dir.glob("step-*") if path.is_dir()),
    }


def job(request: dict[str, Any], emit: Emit, requests: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """{"run": dir, "checkpoint": name or absent}. Raises UserError when the run has no result."""
    return leaving(open_result(str(request.get("run", "")), str(request.get("checkpoint") or "")))
