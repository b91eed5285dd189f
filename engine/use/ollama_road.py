"""Which road leads to Ollama: a GGUF file by llama.cpp's converter, or the merged directory by Ollama's own.

GGUF is the main road: llama.cpp's converter reads more models, and what it wrote is checked here. Ollama's converter
lacks Qwen3 and Mistral among others and guesses how an unknown tokenizer splits text, so a directory is handed over
only where it is known to read both, or where a person asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from engine.errors import UserError
from engine.models.gguf_support import GgufSupport, gguf_support
from engine.use.finished import Result
from engine.use.gguf_tools import converter, find_converter

Road = Literal["gguf", "directory"]
ROADS: tuple[Road, ...] = ("gguf", "directory")


def ollama_road(result: Result, options: Mapping[str, Any]) -> Road:
    """The road that was asked for (option `road`), else the best one here.

    Raises UserError for an unknown road, and where no road leads to Ollama or the converter is missing.
    """
    asked = str(options.get("road") or "")
    if asked:
        if asked not in ROADS:
            raise UserError(f"There is no road to Ollama called {asked!r}.", "road", f"Use one of: {', '.join(ROADS)}.")
        return "gguf" if asked == "gguf" else "directory"
    support = support_of_result(result)
    if support.ok and (options.get("fetch_converter") or find_converter(str(options.get("llama_cpp") or ""))):
        return "gguf"
    if support.ollama_reads_directory:
        return "directory"
    if not support.ok:
        fix = "Use the merged directory with transformers or vLLM: export --to merged."
        raise UserError(f"Ollama cannot take this model. {support.problems[0]}", str(result.base), fix)
    converter("", False, lambda message: None)  # says how to get the converter
    return "gguf"


def support_of_result(result: Result) -> GgufSupport:
    """What the converters make of the model that the run trained."""
    return gguf_support(result.base if result.is_adapter else result.weights, result.tokenizer)


def directory_note(result: Result) -> str:
    """A sentence about handing over a directory: what Ollama's converter may get wrong, or which road is better."""
    support = support_of_result(result)
    if support.ollama_reads_directory:
        return (
            "Ollama converts this directory itself. With llama.cpp's converter (--fetch-converter) a GGUF file is made "
            "and checked here."
        )
    return (
        f"Ollama's own converter is not known to read {support.architecture} with this tokenizer right: the answers "
        "may be gibberish. Without --road directory a GGUF file is made instead."
    )
