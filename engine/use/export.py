"""The job "export": carry the result of a run out of this program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.emit import Emit
from engine.errors import UserError
from engine.models.gguf_support import support_of
from engine.runs.store import Run
from engine.use.classifier import merge_classifier, refuse_text
from engine.use.finished import Result, base_of, open_result
from engine.use.gguf import export_gguf
from engine.use.merge import merge_run
from engine.use.merge_options import dtype_of, into_of
from engine.use.ollama import OllamaOptions, plan_ollama, write_modelfile
from engine.use.ollama_create import create_exported, hand_over
from engine.use.ollama_road import directory_note, ollama_road
from engine.use.prompts import Prompts
from engine.use.publish import export_hub
from engine.use.script import export_script

Export = Callable[[Result, Path, Emit, dict[str, Any]], dict[str, Any]]


def export_run(run: Path | str, to: str, out: Path | str | None, emit: Emit, **options: Any) -> dict[str, Any]:
    """Export the result of the run in directory `run` to `to`, one of EXPORTS.

    `out` is the output directory, by default <run>/exports/<to>. Options: checkpoint, dtype (bf16, fp16, fp32),
    into ("trained", "original"); for Ollama and GGUF also name, system, context_tokens, greedy, create (make the
    model in a running Ollama) and those of `engine.use.gguf.export_gguf`; for Ollama also road ("gguf", "directory")
    and create_from (the folder of an export, for that last step alone); for the Hub those of
    `engine.use.publish.export_hub`. "script" takes no options, and "support" no run but
    `model` and `revision`: it says which programs can read such a model, before anything is trained.
    Returns what the job replies. Raises UserError.
    """
    kinds = (*EXPORTS, "script", "support")
    if to not in kinds:
        raise UserError(f"There is no export called {to!r}.", "to", f"Use one of: {', '.join(kinds)}.")
    if to == "support":
        return {"to": "support", **support_of(str(options.get("model") or ""), str(options.get("revision") or ""))}
    if to == "script":
        return _script(Run(Path(run).expanduser().absolute()), out, emit)
    result = open_result(run, str(options.get("checkpoint") or ""))
    target = Path(out).expanduser().absolute() if out else result.run.exports_dir / to
    if to != "merged":
        refuse_text(result)
    return EXPORTS[to](result, target, emit, options)


def _script(run: Run, out: Path | str | None, emit: Emit) -> dict[str, Any]:
    """A run needs no result for this: what it does is in its recipe."""
    if not run.recipe_path.is_file():
        raise UserError("This folder holds no run.", str(run.path), "Give the name of a run: tunewright runs.")
    base, source = base_of(run)
    target = Path(out).expanduser().absolute() if out else run.exports_dir / "script"
    return export_script(run, base, source, target, emit)


def _merged(result: Result, out: Path, emit: Emit, options: dict[str, Any]) -> dict[str, Any]:
    if result.labels:
        kind = str(options.get("dtype") or "fp32")
        return merge_classifier(result, out, emit, dtype_of(kind), kind)
    merged = merge_run(result, out, emit, into_of(options), str(options.get("dtype") or ""))
    return {"to": "merged", **merged, "commands": [["vllm", "serve", str(out)]]}


def _ollama(result: Result, out: Path, emit: Emit, options: dict[str, Any]) -> dict[str, Any]:
    """By the road that leads there, or with `create_from` only the last step of it."""
    if options.get("create_from"):
        return create_exported(result, Path(str(options["create_from"])), emit, options)
    if ollama_road(result, options) == "gguf":
        return {**export_gguf(result, out, emit, options), "to": "ollama", "road": "gguf"}
    return {**_ollama_directory(result, out, emit, options), "road": "directory"}


def _ollama_directory(result: Result, out: Path, emit: Emit, options: dict[str, Any]) -> dict[str, Any]:
    """A merged model with a Modelfile beside it; what cannot be written is refused before the long work begins."""
    prompts = Prompts.of(result)
    plan = plan_ollama(prompts, OllamaOptions.of(options, result.run.name), weights_hold_template=False)

    def finish(stage: Path) -> dict[str, Any]:
        notes = write_modelfile(stage, plan.modelfile(".", stage), plan.options.create)
        return {"ollama_notes": [directory_note(result), *plan.notes, *notes]}

    merged = merge_run(result, out, emit, into_of(options), str(options.get("dtype") or ""), finish)
    handed = hand_over(result, prompts, plan, plan.modelfile(".", out), out, emit)
    notes = [*merged.pop("notes"), *merged.pop("ollama_notes"), *handed.pop("ollama_notes")]
    return {**merged, "to": "ollama", **handed, "notes": notes}


EXPORTS: dict[str, Export] = {
    "merged": _merged,
    "ollama": _ollama,
    "gguf": export_gguf,
    "hub": export_hub,
}


def job(request: dict[str, Any], emit: Emit, requests: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """{"run": dir, "to": kind, "out": directory or absent, ...options of `export_run`}."""
    options = {key: value for key, value in request.items() if key not in {"run", "to", "out"}}
    return export_run(str(request.get("run", "")), str(request.get("to", "")), request.get("out"), emit, **options)
