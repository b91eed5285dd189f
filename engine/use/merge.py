"""Merging what was trained into a whole model in 16 bits, and showing by numbers that both answer alike.

LoRA goes into the base as it is stored. QLoRA was trained on top of a base in 4 bits, so it goes into that base,
dequantized: that reproduces the trained model about fifteen times closer than the original base does. Nothing is
ever merged into 4-bit weights, which rounds the adapter away.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from engine.emit import Emit
from engine.errors import UserError
from engine.train.load import base_dtype
from engine.use.agreement import compare, logits_of, probe_ids
from engine.use.finished import Result
from engine.use.load import load_base, load_model, with_adapter
from engine.use.lora_delta import NotByFilesError
from engine.use.merge_options import DTYPES, Into, dtype_of
from engine.use.portable import finish_model_directory
from engine.use.prompts import Prompts
from engine.use.shard_merge import four_bit_modules, merge_shards, stored_weights
from engine.use.staging import MARK, check_room, staged

SHARD_SIZE = "5GB"


def merge_run(result: Result, out: Path, emit: Emit, into: Into = "trained", dtype: str = "",
              finish: Callable[[Path], dict[str, Any]] | None = None) -> dict[str, Any]:  # fmt: skip
    """Write the merged model of `result` to `out` (a directory) and compare it with what was trained.

    `dtype` is bf16, fp16 or fp32; by default the base's own when that has 16 bits, else bf16. `finish` may add files
    to the directory before it takes its place; what it returns goes into the reply. Weights are merged file by file;
    only for the comparison is one whole model in memory, first what was trained, then what was written. Where there
    is no room for that, the comparison is left out and the notes say so.
    Returns {"out", "bytes", "dtype", "into", "agreement": {...}, "notes": [...], ...}. Raises UserError.
    """
    prompts = Prompts.of(result)
    check_room(out, needed_bytes(result, 4 if dtype == "fp32" else 2))
    if result.is_adapter:
        _refuse_unmergeable(result)
    kind, ids = _dtype(result, dtype), probe_ids(prompts)
    room = missing_memory_bytes(result)
    with staged(out) as stage:
        trained = [] if room else trained_logits(result, ids, emit)
        notes = _write(result, into, kind, stage, emit)
        notes += finish_model_directory(stage, prompts)
        facts: dict[str, Any] = {"kind": "merged", "dtype": kind}
        facts |= {"into": into if result.method == "qlora" else "original"}
        facts |= {"method": result.method, "run": result.run.name, "notes": notes}
        facts |= {"agreement": _agreement(trained, stage, ids, emit) if trained else {}}
        if room:
            notes.append(f"Not compared with what was trained: that needs {room / 1e9:.1f} GB more memory.")
        facts |= finish(stage) if finish else {}
        (stage / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    return {"out": str(out), "bytes": size, **facts}


def missing_memory_bytes(result: Result) -> int:
    """How much memory one whole model lacks, in the format in which it is held here; 0 when it fits."""
    held = base_dtype(result.recipe, torch.device("cpu")) if result.is_adapter else torch.float32
    needed = needed_bytes(result, held.itemsize)
    return max(0, needed * 11 // 10 - int(psutil.virtual_memory().available))


def trained_logits(result: Result, ids: Sequence[Sequence[int]], emit: Emit) -> list[torch.Tensor]:
    """Logits of what was trained on the probes; the model is let go again."""
    emit({"progress": {"phase": "loading model", "detail": "what was trained"}})
    if not result.is_adapter:
        return logits_of(load_model(result.weights, "cpu"), ids)
    return logits_of(with_adapter(load_base(result, "cpu"), result.weights), ids)


def _agreement(
    trained: Sequence[torch.Tensor], stage: Path, ids: Sequence[Sequence[int]], emit: Emit
) -> dict[str, float | int]:
    gc.collect()
    emit({"progress": {"phase": "comparing", "detail": "the files written against what was trained"}})
    return compare(trained, logits_of(load_model(stage, "cpu"), ids)).as_dict()


def _write(result: Result, into: Into, kind: str, stage: Path, emit: Emit) -> list[str]:
    """The merged weights and configuration in `stage`; notes. Few adapters need the model in memory."""
    emit({"progress": {"phase": "merging", "detail": "file by file" if result.is_adapter else "copying the weights"}})
    folder = result.base if result.is_adapter else result.weights
    is_packed = "quantization_config" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    try:
        if is_packed:
            raise NotByFilesError("the base model is stored in 4 bits")
        if result.is_adapter:
            held = base_dtype(result.recipe, torch.device("cpu"))
            packed = four_bit_modules(folder) if result.method == "qlora" and into == "trained" else frozenset()
            held = _stored_dtype(folder) if result.method == "qlora" and into == "original" else held
            merge_shards(folder, result.weights, held, DTYPES[kind], stage, emit, packed)
        else:
            merge_shards(folder, None, DTYPES[kind], DTYPES[kind], stage, emit)
        _write_configs(folder, kind, stage)
    except NotByFilesError as error:
        emit({"progress": {"phase": "merging", "detail": "in memory"}})
        _merged_in_memory(result, into).to(DTYPES[kind]).save_pretrained(str(stage), max_shard_size=SHARD_SIZE)
        return [f"The whole model was merged in memory: {error}."]
    return []


def _write_configs(folder: Path, kind: str, stage: Path) -> None:
    """config.json and generation_config.json of the base, with the format that is written."""
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    config.dtype = DTYPES[kind]
    config.save_pretrained(str(stage))
    if (folder / "generation_config.json").is_file():
        GenerationConfig.from_pretrained(str(folder), local_files_only=True).save_pretrained(str(stage))


def _merged_in_memory(result: Result, into: Into) -> Any:
    """The merged model by peft's own merge, for adapters that are no plain product of two matrices."""
    if not result.is_adapter:
        return load_model(result.weights, "cpu")
    adapted = with_adapter(load_base(result, "cpu"), result.weights)
    if result.method == "qlora":
        packed = "quantization_config" in json.loads((result.base / "config.json").read_text(encoding="utf-8"))
        as_trained = into == "trained" or packed  # then there is no other original
        target = adapted.unload().dequantize() if as_trained else load_model(result.base, "cpu")
        adapted = with_adapter(_without_packing(target), result.weights)
    return adapted.merge_and_unload(safe_merge=True)


def _without_packing(model: Any) -> Any:
    """`model` without the conversions by which its 4-bit files were read: they cannot be turned round for saving."""
    conversions = getattr(model, "_weight_conversions", None) or []
    model._weight_conversions = [conversion for conversion in conversions if _turns_round(conversion)]
    return model


def _turns_round(conversion: Any) -> bool:
    try:
        conversion.reverse_transform()
    except NotImplementedError:
        return False
    return True


def _refuse_unmergeable(result: Result) -> None:
    """Say no to adapters that cannot be folded into weights. Raises UserError with the reason."""
    config = json.loads((result.weights / "adapter_config.json").read_text(encoding="utf-8"))
    kind = str(config.get("peft_type", "LORA"))
    if kind not in {"LORA", "ADALORA", "LOHA", "LOKR", "OFT", "BOFT", "IA3"}:
        what = f"An adapter of the kind {kind} has no weights that can be merged."
        raise UserError(what, str(result.weights), "Use it as an adapter.")
    base = json.loads((result.base / "config.json").read_text(encoding="utf-8"))
    targets = config.get("target_modules") or []
    names = [targets] if isinstance(targets, str) else targets
    names = [*names, *(config.get("modules_to_save") or [])]
    touched = [name for name in ("lm_head", "embed_tokens") if any(str(item).endswith(name) for item in names)]
    if base.get("tie_word_embeddings") and touched and not config.get("ensure_weight_tying"):
        what = f"The adapter changes {touched[0]}, which this model shares between input and output."
        fix = "Merging would change both. Train without it in target_modules, or use the adapter as it is."
        raise UserError(what, str(result.weights), fix)


def _dtype(result: Result, wanted: str) -> str:
    if wanted:
        dtype_of(wanted)  # refuses what is none
        return wanted
    held = base_dtype(result.recipe, torch.device("cpu")) if result.is_adapter else _stored_dtype(result.weights)
    return "fp16" if held == torch.float16 else "bf16"


def _stored_dtype(folder: Path) -> torch.dtype:
    """In which format a model directory holds its weights; the first one stands for all."""
    return next((weight.dtype for _, weight in stored_weights(folder) if weight.is_floating_point()), torch.float32)


def needed_bytes(result: Result, bytes_per_weight: int = 2) -> int:
    """Disk room for the whole model, counted from the size of the stored weights and their own width."""
    folder = result.base if result.is_adapter else result.weights
    stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    width = 4 if str(config.get("dtype") or config.get("torch_dtype")) in {"float32", "None"} else 2
    return stored * bytes_per_weight // width
