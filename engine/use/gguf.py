"""GGUF: the file that llama.cpp and Ollama read, made by llama.cpp's own converter and then looked at."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.emit import Emit
from engine.errors import UserError
from engine.models.gguf_support import gguf_support
from engine.use.finished import Result
from engine.use.gguf_adapter import export_adapter
from engine.use.gguf_check import compare_with_python, python_with_llama_cpp
from engine.use.gguf_run import CONVERTER_TYPES, run_converter
from engine.use.gguf_tools import SCRIPT, converter
from engine.use.merge import merge_run, needed_bytes
from engine.use.merge_options import Into, into_of
from engine.use.ollama import OllamaOptions, plan_ollama, write_modelfile
from engine.use.ollama_create import hand_over
from engine.use.ollama_road import support_of_result
from engine.use.prompts import Prompts
from engine.use.staging import MARK, check_room, staged

Quantizer = Callable[[Path, Path, str, Emit], None]

K_TYPES = ("q6_k", "q5_k_m", "q4_k_m", "q4_k_s", "q3_k_m")
"""Formats of llama.cpp's quantizer, which reads a 16-bit GGUF file."""
_MERGE_DTYPE = {"f32": "fp32", "f16": "fp16"}


def export_gguf(result: Result, out: Path, emit: Emit, options: dict[str, Any]) -> dict[str, Any]:
    """Write <out>/<run>-<type>.gguf with a Modelfile beside it.

    Options: type (one of CONVERTER_TYPES and K_TYPES, bf16 by default), llama_cpp (a checkout), fetch_converter,
    adapter_only, into, and those of the Ollama export. Raises UserError.
    """
    kind = str(options.get("type") or "bf16").lower()
    if kind not in CONVERTER_TYPES + K_TYPES:
        fix = f"Use one of: {', '.join(CONVERTER_TYPES + K_TYPES)}."
        raise UserError(f"There is no GGUF type {kind!r}.", "type", fix)
    quantizer, into = _quantizer(kind), into_of(options)
    _refuse_unsupported(result)
    tools = converter(str(options.get("llama_cpp") or ""), bool(options.get("fetch_converter")), emit)
    if options.get("adapter_only"):
        return export_adapter(result, out, emit, tools, kind, options)
    prompts = Prompts.of(result)
    plan = plan_ollama(prompts, OllamaOptions.of(options, result.run.name), weights_hold_template=True)
    name = f"{result.run.name}-{kind}.gguf"
    check_room(out, 2 * needed_bytes(result, 4 if kind == "f32" else 2))  # the merged model and the file
    with staged(out) as stage:
        merged = _merge(result, stage / "merged", kind, into, emit)
        check = _write(result, prompts, stage, kind, tools, quantizer, emit)
        modelfile = plan.modelfile(f"./{name}", stage / "merged")
        notes = [*merged["notes"], *plan.notes, *write_modelfile(stage, modelfile, plan.options.create)]
        shutil.rmtree(stage / "merged")
        facts: dict[str, Any] = {"kind": "gguf", "type": kind, "file": name}
        facts |= {"run": result.run.name, "method": result.method}
        facts |= {"agreement": merged["agreement"], "llama_cpp": check}
        (stage / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    handed = hand_over(result, prompts, plan, modelfile, out, emit)
    notes += handed.pop("ollama_notes")
    size = (out / name).stat().st_size
    return {**facts, "to": "gguf", "out": str(out), "file": str(out / name), "bytes": size, **handed, "notes": notes,
            "commands": [*handed["commands"], ["llama-server", "-m", str(out / name)]]}  # fmt: skip


def _merge(result: Result, folder: Path, kind: str, into: Into, emit: Emit) -> dict[str, Any]:
    return merge_run(result, folder, emit, into, _MERGE_DTYPE.get(kind, "bf16"))


def _write(
    result: Result, prompts: Prompts, stage: Path, kind: str, tools: Path, quantizer: Quantizer | None, emit: Emit
) -> dict[str, Any]:
    """The GGUF file in `stage`, from the merged model there; what the check found."""
    first = kind if kind in CONVERTER_TYPES else "bf16"
    file, target = (stage / f"{result.run.name}-{number}.gguf" for number in (first, kind))
    arguments = [str(stage / "merged"), "--outfile", str(file), "--outtype", first, "--model-name", result.run.name]
    run_converter(tools, SCRIPT, arguments, gguf_support(stage / "merged").pre, emit)
    if quantizer is not None:
        quantizer(file, target, kind, emit)
        file.unlink()
    emit({"progress": {"phase": "comparing", "detail": "the file against the merged model"}})
    return compare_with_python(target, stage / "merged", prompts)


def _refuse_unsupported(result: Result) -> None:
    support = support_of_result(result)
    if support.problems:
        fix = "Use the merged directory with transformers or vLLM: export --to merged."
        raise UserError(f"This model cannot become a GGUF file. {support.problems[0]}", str(result.base), fix)


def _quantizer(kind: str) -> Quantizer | None:
    """What makes k-quants here. Raises UserError when it is needed and not there."""
    if kind in CONVERTER_TYPES:
        return None
    if shutil.which("llama-quantize"):
        return _quantize_by_program
    if python_with_llama_cpp():
        return _quantize_by_library
    fix = "Install llama.cpp (llama-quantize) or: pip install llama-cpp-python. Or use q8_0, which needs neither."
    raise UserError(f"The type {kind} needs llama.cpp's quantizer, which is not on this machine.", "type", fix)


def _quantize_by_program(source: Path, target: Path, kind: str, emit: Emit) -> None:
    _quantize(["llama-quantize", str(source), str(target), kind.upper()], kind, emit)


def _quantize_by_library(source: Path, target: Path, kind: str, emit: Emit) -> None:
    script = str(Path(__file__).with_name("gguf_quantize.py"))
    _quantize([python_with_llama_cpp() or sys.executable, "-P", script, str(source), str(target), kind], kind, emit)


def _quantize(command: Sequence[str], kind: str, emit: Emit) -> None:
    emit({"progress": {"phase": "quantizing", "detail": kind}})
    done = subprocess.run(list(command), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        line = (done.stderr.decode("utf-8", "replace").strip().splitlines() or [""])[-1]
        raise UserError(f"llama.cpp's quantizer failed: {line[:300]}", kind, "Use q8_0.", exit_code=1)
