"""The adapter alone as a GGUF file, for programs that keep the base model apart (llama.cpp --lora, Ollama ADAPTER)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.emit import Emit
from engine.errors import UserError
from engine.use.finished import Result
from engine.use.gguf_run import CONVERTER_TYPES, run_converter
from engine.use.gguf_tools import ADAPTER_SCRIPT
from engine.use.ollama import OllamaOptions, plan_ollama
from engine.use.prompts import Prompts
from engine.use.staging import MARK, staged


def export_adapter(
    result: Result, out: Path, emit: Emit, tools: Path, kind: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Write <out>/<run>-adapter-<type>.gguf, and a Modelfile with ADAPTER when `ollama_base` names the base in Ollama.

    Raises UserError for a result without an adapter and for a type that the converter does not write.
    """
    if not result.is_adapter:
        raise UserError("Full fine-tuning leaves no adapter.", result.run.name, "Export the whole model.")
    if kind not in CONVERTER_TYPES:
        raise UserError(f"An adapter cannot be written as {kind}.", "type", "Use f32, f16, bf16 or q8_0.")
    name = f"{result.run.name}-adapter-{kind}.gguf"
    with staged(out) as stage:
        arguments = [str(result.weights), "--base", str(result.base), "--outfile", str(stage / name), "--outtype", kind]
        run_converter(tools, ADAPTER_SCRIPT, arguments, "", emit)
        commands, notes = _modelfile(result, stage, out, name, options)
        facts = {"kind": "gguf adapter", "type": kind, "file": name, "run": result.run.name, "method": result.method}
        (stage / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    reply: dict[str, Any] = {**facts, "to": "gguf", "out": str(out), "file": str(out / name), "notes": notes}
    reply |= {"modelfile": str(out / "Modelfile")} if commands else {}
    served = [[program, "-m", "BASE.gguf", "--lora", str(out / name)] for program in ("llama-cli", "llama-server")]
    return {**reply, "bytes": (out / name).stat().st_size, "commands": [*commands, *served]}


def _modelfile(
    result: Result, stage: Path, out: Path, name: str, options: dict[str, Any]
) -> tuple[list[list[str]], list[str]]:
    """Commands and notes; a Modelfile is written only where the base's name in Ollama is known.

    Ollama does not check that an adapter belongs to the base, so the person is told which base that must be.
    """
    base = str(options.get("ollama_base") or "")
    which = f"BASE.gguf must be {result.base_source}, which the adapter was trained on, with 16-bit weights or q8_0."
    if not base:
        return [], [which, "For Ollama, say under which name it has the base model (ollama_base)."]
    prompts = Prompts.of(result)
    plan = plan_ollama(prompts, OllamaOptions.of(options, result.run.name), weights_hold_template=False)
    text = plan.modelfile(base, result.base, adapter=f"./{name}").dumps()
    (stage / "Modelfile").write_text(text, encoding="utf-8")
    note = f"In Ollama {base} must be {result.base_source}: an adapter on another base answers nonsense."
    return plan.commands(out), [which, note, *plan.notes]
