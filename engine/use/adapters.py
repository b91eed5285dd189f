"""The adapters of several runs: what each is, how to serve it, and several combined into one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.emit import Emit
from engine.errors import UserError
from engine.runs.files import read_json
from engine.use.combining import check_combinable, obstacle
from engine.use.finished import Result, open_result
from engine.use.portable import copy_tokenizer
from engine.use.staging import MARK, staged

VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for --max-lora-rank (vllm/config/lora.py)."""
FIGURES = ("accuracy", "exact_match", "macro_f1", "rouge_l", "perplexity", "loss")
"""The first one that an evaluation has stands for it in a list."""


def describe(result: Result) -> dict[str, Any]:
    """One adapter: what it was trained on, its size, what was measured, and the commands that serve it.

    `held_out_loss` is the best of the training, in nats for each token (of a pair for preferences), None when nothing
    was held out; `uncombinable` says why it stays alone, empty when it can be combined.
    """
    config = read_json(result.weights / "adapter_config.json")
    targets = config.get("target_modules") or []
    return {
        "run": result.run.name,
        "run_directory": str(result.run.path),
        "directory": str(result.weights),
        "base": result.base_source,
        "base_directory": str(result.base),
        "method": result.method,
        "objective": result.recipe.method.objective,
        "data": result.recipe.data.source,
        "rank": int(config.get("r") or 0),
        "alpha": config.get("lora_alpha"),
        "targets": [targets] if isinstance(targets, str) else sorted(targets),
        "bytes": (result.weights / "adapter_model.safetensors").stat().st_size,
        "steps": result.steps,
        "held_out_loss": read_json(result.run.result_dir / "result.json").get("best_eval_loss"),
        "measured": _measured(result),
        "commands": serve_commands(result, int(config.get("r") or 8)),
        "uncombinable": obstacle(config),
    }


def _measured(result: Result) -> dict[str, Any]:
    """The stored evaluation of the tuned model in one figure; empty when nothing was measured."""
    tuned = (read_json(result.run.path / "evaluation.json").get("sides") or {}).get("tuned") or {}
    for name in FIGURES:
        if name in tuned:
            value = tuned[name]
            return {"name": name, "value": value["value"] if isinstance(value, dict) else value}
    return {}


def serve_commands(result: Result, rank: int) -> list[list[str]]:
    """vLLM with the adapter beside the base; for llama.cpp the adapter becomes a file of its own first."""
    name = result.run.name
    file = result.run.exports_dir / "gguf" / f"{name}-adapter-f16.gguf"
    return [
        *vllm_commands(result.base, name, result.weights, rank),
        ["tunewright", "export", name, "--to", "gguf", "--adapter-only", "--type", "f16"],
        ["llama-server", "-m", "BASE.gguf", "--lora", str(file)],
    ]  # fmt: skip


def vllm_commands(base: Path, name: str, adapter: Path, rank: int) -> list[list[str]]:
    """The command that serves the base with the adapter beside it; none for a rank that vLLM does not take."""
    allowed = next((each for each in VLLM_RANKS if each >= rank), 0)
    if not allowed:
        return []
    return [["vllm", "serve", str(base), "--enable-lora", "--max-lora-rank", str(allowed),
             "--lora-modules", f"{name}={adapter}"]]  # fmt: skip


def list_adapters(runs: Sequence[str]) -> list[dict[str, Any]]:
    """The adapters of those runs that have one; runs that were fully fine-tuned or have no result are left out."""
    found = []
    for run in runs:
        try:
            result = open_result(run)
        except UserError:
            continue
        if result.is_adapter:
            found.append(describe(result))
    return found


def combine(weights: Mapping[str, float], out: Path, emit: Emit) -> dict[str, Any]:
    """Write one adapter that does what the adapters of several runs do together, each times its weight, to `out`.

    Exact: the ranks are put side by side (peft, combination_type "cat"), so the rank is their sum. Raises UserError
    when they were not trained on the same base in the same way.
    """
    if len(weights) < 2:
        raise UserError("Combining needs at least two adapters.", "adapters", "Name two runs or more.")
    from engine.use.load import Pair  # brings torch

    results = [open_result(run) for run in weights]
    for result in results:
        if not result.is_adapter:
            raise UserError("Full fine-tuning leaves no adapter.", result.run.name, "Name runs with LoRA or QLoRA.")
    check_combinable([(each.run.name, read_json(each.weights / "adapter_config.json")) for each in results])
    emit({"progress": {"phase": "loading model", "detail": results[0].base_source}})
    pair = Pair(results[0], "cpu")
    names = ["tuned", *(f"other-{number}" for number in range(1, len(results)))]
    for name, result in zip(names[1:], results[1:], strict=True):
        pair.add(name, result)
    emit({"progress": {"phase": "combining", "detail": f"{len(results)} adapters"}})
    pair.combine("combined", dict(zip(names, weights.values(), strict=True)))
    parts = {result.run.name: weight for result, weight in zip(results, weights.values(), strict=True)}
    with staged(out) as stage:
        _save(pair.model("combined"), stage, results[0])
        facts = {"kind": "adapter", "combined": parts, "base": results[0].base_source}
        (stage / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    config = read_json(out / "adapter_config.json")
    reply = {"out": str(out), "combined": parts, "base": results[0].base_source, "rank": int(config["r"])}
    reply["commands"] = vllm_commands(results[0].base, out.name, out, int(config["r"]))
    return {**reply, "bytes": (out / "adapter_model.safetensors").stat().st_size}


def _save(model: Any, stage: Path, first: Result) -> None:
    """peft puts an adapter that is not the first one into a folder with its name."""
    model.save_pretrained(str(stage), selected_adapters=["added_combined"])
    inside = stage / "added_combined"
    for path in inside.iterdir():
        path.rename(stage / path.name)
    shutil.rmtree(inside)
    copy_tokenizer(first.tokenizer, stage)


def job(request: dict[str, Any], emit: Emit, requests: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """{"runs": [dirs]} lists; {"combine": {dir: weight}, "out": dir} makes one adapter from several."""
    if isinstance(request.get("combine"), dict):
        weights = {str(run): float(weight) for run, weight in request["combine"].items()}
        return combine(weights, Path(str(request["out"])).expanduser().absolute(), emit)
    return {"adapters": list_adapters([str(run) for run in request.get("runs") or []])}
