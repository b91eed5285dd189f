"""Folding an adapter into the base model weight by weight, file by file, so that the whole model is never in memory.

Peak memory is one output shard, the adapter, and one weight in 32 bits; the base is read through the page cache. The
arithmetic is peft's own (`LoraLayer.merge` with `safe_merge`), so that the bits are the same where the format is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engine.emit import Emit
from engine.errors import UserError
from engine.models.weights import INDEX, weight_files
from engine.use.lora_delta import LoraDelta, read_lora

Change = Callable[[str, torch.Tensor], torch.Tensor]
"""(name, weight as stored) -> the weight as it is written."""

SHARD_BYTES = 2_000_000_000
"""Also the memory that an unfinished shard takes."""


@dataclass(frozen=True)
class Written:
    """Names of the files, and the bytes of all weights together."""

    files: tuple[str, ...]
    total_bytes: int


def stored_weights(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight of a model directory, one at a time, file by file."""
    for file in weight_files(folder).files:
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no mapping
                yield name, weights.get_tensor(name)


def write_shards(
    weights: Iterator[tuple[str, torch.Tensor]], change: Change, folder: Path, emit: Emit,
    shard_bytes: int = SHARD_BYTES,
) -> Written:  # fmt: skip
    """Write every weight, changed, as safetensors files of about `shard_bytes` with an index, as the Hub has them."""
    shards: list[list[str]] = []
    waiting: dict[str, torch.Tensor] = {}
    total = 0

    def flush() -> None:
        emit({"progress": {"phase": "merging", "detail": f"file {len(shards) + 1}"}})
        save_file(waiting, str(folder / f"shard-{len(shards)}"), metadata={"format": "pt"})
        shards.append(list(waiting))
        waiting.clear()

    for name, weight in weights:
        made = change(name, weight).contiguous()
        if waiting and sum(map(_bytes, waiting.values())) + _bytes(made) > shard_bytes:
            flush()
        waiting[name] = made
        total += _bytes(made)
    if waiting:
        flush()
    return Written(_name_shards(folder, shards, total), total)


def _bytes(weight: torch.Tensor) -> int:
    return int(weight.numel() * weight.element_size())


def _name_shards(folder: Path, shards: list[list[str]], total: int) -> tuple[str, ...]:
    """Give the files their names, which say how many there are, and write the index when there are several."""
    count = len(shards)
    names = (
        ["model.safetensors"] if count == 1 else [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    )
    for number, name in enumerate(names):
        (folder / f"shard-{number}").rename(folder / name)
    if count > 1:
        where = {weight: name for name, held in zip(names, shards, strict=True) for weight in held}
        index = {"metadata": {"total_size": total}, "weight_map": where}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return tuple(names)


def merge_shards(
    base: Path, adapter: Path | None, held: torch.dtype, written: torch.dtype, folder: Path, emit: Emit,
    in_four_bits: frozenset[str] = frozenset(), shard_bytes: int = SHARD_BYTES,
) -> Written:  # fmt: skip
    """Write the model in `base` with `adapter` folded in to `folder`, in the format `written`.

    `held` is the format of the base in training: the sum is taken in it. Weights of the modules `in_four_bits` go to
    4 bits and back first, as they stood under the adapter. UserError when the adapter cannot be folded in this way.
    """
    with ExitStack() as stack:
        lora = read_lora(adapter, stack) if adapter else None
        if lora is not None:
            lora.refuse_strangers(frozenset(_names(base)))

        def change(name: str, weight: torch.Tensor) -> torch.Tensor:
            if not weight.is_floating_point():
                return weight
            held_weight = weight.to(held)
            if name.removesuffix(".weight") in in_four_bits:
                held_weight = through_four_bits(held_weight)
            return _added(name, held_weight, lora).to(written)

        return write_shards(stored_weights(base), change, folder, emit, shard_bytes)


def _added(name: str, weight: torch.Tensor, lora: LoraDelta | None) -> torch.Tensor:
    if lora is None:
        return weight
    merged = lora.applied(name, weight)
    if merged is not weight and not torch.isfinite(merged).all():
        fix = "The run probably diverged. Take an earlier checkpoint: tunewright export --checkpoint."
        raise UserError(f"The merged weight {name} is not finite; the adapter is broken.", name, fix, exit_code=1)
    return merged


def _names(base: Path) -> Iterator[str]:
    for file in weight_files(base).files:
        with safe_open(file, "pt") as weights:
            yield from weights.keys()


def through_four_bits(weight: torch.Tensor) -> torch.Tensor:
    """The weight after NF4 with double quantization in blocks of 64, as `engine.train.load.four_bit` loads it."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    packed, state = quantize_4bit(weight.contiguous(), blocksize=64, compress_statistics=True, quant_type="nf4")
    return torch.as_tensor(dequantize_4bit(packed, state))


def four_bit_modules(base: Path) -> frozenset[str]:
    """Names of the modules that transformers puts into 4 bits: linear layers but the output head. No weight is read."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.quantizers.base import get_keys_to_not_convert
    from transformers.quantizers.quantizers_utils import should_convert_module

    config = AutoConfig.from_pretrained(str(base), local_files_only=True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    kept = get_keys_to_not_convert(model)
    return frozenset(
        name
        for name, module in model.named_modules()
        if type(module) is torch.nn.Linear and should_convert_module(name, kept)
    )
