"""Load a base model and its tokenizer for training, in 16 or 32 bits, or in 4 bits for QLoRA.

Only safetensors are read and no code of a model repository runs. Everything comes from a local folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from engine.errors import UserError, first_line
from engine.recipe import Recipe

DTYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
NEW_HEAD = ("score.weight",)
"""The weights of a classification head, which a base model does not have."""
_PAD_WORDS = ("<|finetune_right_pad_id|>", "<|pad|>", "<pad>", "[PAD]", "<|PAD_TOKEN|>", "<|endoftext|>", "<unk>")
"""Tokens that model families keep for padding, best first."""


def base_dtype(recipe: Recipe, device: torch.device) -> torch.dtype:
    """In which format the base weights are held.

    Full fine-tuning in fp16 needs fp32 weights, since gradients of fp16 weights cannot be unscaled.
    """
    precision = recipe.training.precision
    if recipe.method.name == "full" and precision == "fp16":
        return torch.float32
    if device.type == "cpu" and precision == "fp16":
        return torch.float32
    return DTYPES[precision]


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, with a padding token that is not the end token wherever there is one.

    Labels are explicit in this program, so a shared token would not hide the end token from training; but whoever
    trains on with the saved tokenizer and masks by padding token would teach the model never to stop.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        fix = "Copy the tokenizer files of the base model (tokenizer.json, tokenizer_config.json) into the folder."
        raise UserError(f"The tokenizer cannot be loaded: {first_line(error)}", str(directory), fix) from error
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        vocabulary = tokenizer.get_vocab()
        taken = {tokenizer.eos_token, tokenizer.bos_token}
        spare = [word for word in (*_PAD_WORDS, tokenizer.unk_token) if word in vocabulary and word not in taken]
        tokenizer.pad_token = spare[0] if spare else tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer


def load_model(
    directory: Path,
    recipe: Recipe,
    device: torch.device,
    kind: Any = AutoModelForCausalLM,
    head: Mapping[str, Any] = MappingProxyType({}),
) -> PreTrainedModel:
    """The base model in the format that the recipe's method needs, on `device`, without an adapter.

    `kind` is transformers' class for it and `head` what it needs to know of a head that the files may lack. Raises
    UserError for files that are missing, damaged or of another kind.
    """
    _refuse_foreign_code(directory)
    _refuse_stored_bits(directory, recipe.method.name)
    options: dict[str, Any] = {
        "dtype": base_dtype(recipe, device), "local_files_only": True, "trust_remote_code": False,
        "use_safetensors": True, "attn_implementation": "sdpa",
    }  # fmt: skip
    if device.type == "cuda":
        options["device_map"] = {"": device.index or 0}
    if recipe.method.name == "qlora":
        options["quantization_config"] = four_bit(recipe, directory, device)
    try:
        options = {name: value for name, value in {**options, **head}.items() if value is not None}
        model = _from_files(directory, options, kind, bool(head))
    except UserError:
        raise
    except torch.OutOfMemoryError as error:
        fix = "Choose QLoRA, a smaller model, or free the GPU."
        raise UserError("The weights of the base model do not fit into GPU memory.", str(device), fix, 1) from error
    except Exception as error:  # safetensors, transformers and bitsandbytes each have their own
        what = f"The model cannot be loaded: {first_line(error)}"
        raise UserError(what, str(directory), "Check that all files of the model are there and whole.") from error
    model.config.use_cache = False
    if recipe.method.name == "qlora":
        _compute_in(model, compute_dtype(recipe, device))
    return model


def _from_files(directory: Path, options: dict[str, Any], kind: Any, new_head: bool) -> Any:
    """Load with fused attention, or with plain attention where the architecture has no other (Gemma 2, GPT-J)."""
    options |= {"output_loading_info": True}
    try:
        model, found = kind.from_pretrained(directory, **options)
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        options |= {"attn_implementation": "eager"}
        model, found = kind.from_pretrained(directory, **options)
    _refuse_gaps(directory, found, NEW_HEAD if new_head else ())
    return model


def _refuse_gaps(directory: Path, found: dict[str, Any], new: Sequence[str] = ()) -> None:
    """UserError when weights are missing or of another shape: transformers fills them with random numbers and goes on.

    `new` are weights that are meant to be new. So it is with a repository whose own code names its weights otherwise
    than transformers' class of the same type.
    """
    gaps = sorted([*found["missing_keys"], *(str(key) for key in found["mismatched_keys"])])
    gaps = [name for name in gaps if name not in new]
    if gaps:
        what = f"{len(gaps)} weights of the model are missing or of another shape, the first is {gaps[0]}."
        fix = "Download the model again, or choose another version of it that transformers can load."
        raise UserError(what, str(directory), fix)


def four_bit(recipe: Recipe, directory: Path, device: torch.device) -> BitsAndBytesConfig | None:
    """NF4 with double quantization; None when the model comes quantized that way already.

    Raises UserError for a model that is quantized in another way.
    """
    if device.type == "cpu":
        _mend_bitsandbytes_on_cpu()
    stored = _read_config(directory).get("quantization_config")
    if stored:
        if stored.get("quant_method") == "bitsandbytes" or stored.get("load_in_4bit"):
            return None
        what = f"The model is already quantized ({stored.get('quant_method', 'unknown way')})."
        raise UserError(what, str(directory), "Use the 16-bit version of the model, or LoRA instead of QLoRA.")
    compute = compute_dtype(recipe, device)
    # DeepSpeed divides only weights that have the form of numbers with a gradient
    storage = {"bnb_4bit_quant_storage": compute} if recipe.training.sharding.startswith("zero") else {}
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute,
        **storage,
    )  # fmt: skip


def compute_dtype(recipe: Recipe, device: torch.device) -> torch.dtype:
    """In which format unpacked 4-bit weights are multiplied."""
    on_cpu = device.type == "cpu" and recipe.training.precision == "fp16"
    return torch.float32 if on_cpu else DTYPES[recipe.training.precision]


def _compute_in(model: Any, dtype: torch.dtype) -> None:
    """Weights that come in 4 bits name the format of whoever packed them, which may be none that this device has."""
    for module in model.modules():
        if hasattr(module, "compute_dtype") and hasattr(module, "quant_state"):
            module.compute_dtype, module.compute_type_is_set = dtype, True


def _refuse_stored_bits(directory: Path, method: str) -> None:
    if _read_config(directory).get("quantization_config") and method != "qlora":
        what = "The weights of this model are already in 4 bits; only an adapter can be trained on them."
        raise UserError(what, str(directory), "Use QLoRA (--set method.name=qlora), or the model in 16 bits.")


def _mend_bitsandbytes_on_cpu() -> None:
    """Keep bitsandbytes 0.50 from repacking 4-bit weights at the first evaluation on CPUs with AVX512-BF16.

    It never packs them back, and its kernel for the repacked form has no gradient: training would go on with
    gradients that are silently wrong. Without the repacking, losses equal those of a run without evaluation.
    """
    import bitsandbytes.nn.modules as modules

    if hasattr(modules, "has_avx512bf16"):
        modules.has_avx512bf16 = lambda: False


def _refuse_foreign_code(directory: Path) -> None:
    config = _read_config(directory)
    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        fix = "Choose a model whose architecture is part of transformers."
        raise UserError("The model wants to run its own Python code, which is never allowed.", str(directory), fix)
    if not any(directory.glob("*.safetensors")):
        fix = "Use a model with .safetensors files; other weight files can hold programs."
        raise UserError("The model folder has no .safetensors weights.", str(directory), fix)


def _read_config(directory: Path) -> dict[str, Any]:
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fix = "Give the folder of a model, with config.json, weights and tokenizer."
        raise UserError("The model folder has no readable config.json.", str(directory), fix) from error
    return config if isinstance(config, dict) else {}
