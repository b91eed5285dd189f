"""Find a model by what a person wrote: a directory, a Hub id in the cache, or a Hub id on the net."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import UserError
from engine.models.cache import cached_snapshot
from engine.models.hub import HubModel, fetch_small_files
from engine.models.spec import ModelSpec, refuse_unusable, spec_from_config
from engine.models.tokenizer_files import chat_template, read_json
from engine.models.weights import PICKLES, Weights, check_weights, weight_files

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
BYTES_PER_PARAMETER = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}
TRAINABLE_QUANTIZATION = ("nf4", "fp4")  # bitsandbytes 4-bit: the adapter is trained on it as it is


@dataclass(frozen=True)
class ModelFiles:
    """A model that can be used: where its files are, its sizes, and what is still to be downloaded.

    `directory` holds everything and is None while the weights are not on this machine; `tokenizer_path` is the
    tokenizer.json
    and its directory has the chat template too. For an adapter, `spec` is its base model's and `adapter_base` names it.
    """

    source: str
    directory: Path | None
    revision: str
    spec: ModelSpec
    tokenizer_path: Path | None
    has_chat_template: bool
    download_bytes: int
    is_adapter: bool
    weights_bytes: int = 0
    licence: str = ""
    gated: bool = False
    adapter_base: str = ""


def find_model(source: str, revision: str = "") -> ModelFiles:
    """Look for a model in a local directory, then in the Hub's cache, then on the Hub (small files only, no weights).

    UserError for a missing directory or id, no config.json, no tokenizer, pickled weights only, code of its own, a
    quantization that cannot be trained, or a Hub out of reach.
    """
    text = source.strip()
    if not text:
        raise UserError(
            "No model was named.", "model.source", "Give a directory, or a Hub id such as Qwen/Qwen2.5-0.5B."
        )
    path = Path(text).expanduser()
    if path.is_dir():
        return _local(text, path, revision)
    if path.is_file():
        raise UserError(
            f'"{text}" is a file.', text, "Give the directory that holds config.json and model.safetensors."
        )
    if _looks_like_path(text) or not HUB_ID.match(text):
        raise UserError(f'There is no model directory "{text}".', text, _nearby(path))
    snapshot = cached_snapshot(text, revision)
    if snapshot is not None and (snapshot / "config.json").is_file() and (snapshot / "tokenizer.json").is_file():
        return _cached(text, snapshot, revision)
    return _on_hub(text, revision)


def _local(source: str, directory: Path, revision: str) -> ModelFiles:
    if (directory / "adapter_config.json").is_file() and not (directory / "config.json").is_file():
        return _adapter(source, directory, revision)
    spec = _spec(directory)
    tokenizer = _tokenizer(directory)
    weights = check_weights(directory)
    template = chat_template(directory) is not None
    return ModelFiles(source, directory, revision, spec, tokenizer, template, 0, False, weights.total_bytes)


def _adapter(source: str, directory: Path, revision: str) -> ModelFiles:
    base = str(read_json(directory / "adapter_config.json").get("base_model_name_or_path") or "")
    if not base:
        raise UserError(
            "This adapter does not say which base model it belongs to.", str(directory), "Give the base model."
        )
    found = find_model(base)
    return replace(found, source=source, directory=directory, revision=revision, is_adapter=True, adapter_base=base)


def _cached(source: str, snapshot: Path, revision: str) -> ModelFiles:
    """A model whose small files are in the cache; its weights may be whole, begun, or not there."""
    spec, tokenizer = _spec(snapshot), _tokenizer(snapshot)
    weights = weight_files(snapshot)
    whole = bool(weights.files) and not weights.missing
    if whole:
        check_weights(snapshot)
    left = 0 if whole else max(0, _weights_bytes(spec) - weights.total_bytes)
    directory = snapshot if whole else None
    template = chat_template(snapshot) is not None
    commit = revision or snapshot.name
    return ModelFiles(source, directory, commit, spec, tokenizer, template, left, False, _known_bytes(weights, spec))


def _on_hub(source: str, revision: str) -> ModelFiles:
    model = fetch_small_files(source, revision)
    snapshot = model.snapshot
    if "config.json" not in model.files and "adapter_config.json" in model.files:
        return _adapter(source, snapshot, revision)
    spec, tokenizer = _spec(snapshot), _tokenizer(snapshot)
    sizes = _hub_weights(source, model)
    template = chat_template(snapshot) is not None
    return ModelFiles(
        source, None, model.commit, spec, tokenizer, template, sizes, False, sizes, model.licence, model.gated
    )


def _hub_weights(source: str, model: HubModel) -> int:
    sizes = [size for name, size in model.files.items() if name.startswith("model") and name.endswith(".safetensors")]
    if sizes:
        return sum(sizes)
    if any(name in model.files or name.endswith(".bin") for name in (*PICKLES, *model.files)):
        raise UserError(
            f"{source} offers its weights only as pickled files, which can run any code when they are opened.",
            f"https://huggingface.co/{source}",
            "Choose a model (or a revision of it) that has .safetensors files.",
        )
    raise UserError(f"{source} offers no weights.", f"https://huggingface.co/{source}", "Choose another model.")


def _spec(directory: Path) -> ModelSpec:
    file = directory / "config.json"
    if not file.is_file():
        raise UserError(
            "This is no model directory: it has no config.json.",
            str(directory),
            "Give the directory that holds config.json.",
        )
    config = read_json(file)
    refuse_unusable(config, str(file))
    spec = spec_from_config(config, str(file))
    if spec.quantization and spec.quantization not in TRAINABLE_QUANTIZATION:
        raise UserError(
            f'The weights are already quantized as "{spec.quantization}", which cannot be trained here.',
            str(file),
            "Choose the unquantized model; QLoRA quantizes it while loading.",
        )
    return spec


def _tokenizer(directory: Path) -> Path:
    file = directory / "tokenizer.json"
    if file.is_file():
        return file
    old = next((name for name in ("tokenizer.model", "vocab.json", "spiece.model") if (directory / name).is_file()), "")
    what = (
        f"The tokenizer is only there in its old form ({old})."
        if old
        else "This model has no tokenizer (tokenizer.json)."
    )
    convert = (
        f'python -c "from transformers import AutoTokenizer as T; '
        f"T.from_pretrained('{directory}').save_pretrained('{directory}')\""
    )
    raise UserError(
        what, str(directory), f"Convert it once with: {convert}" if old else "Put the model's tokenizer.json there."
    )


def _weights_bytes(spec: ModelSpec) -> int:
    """Bytes of the weight files by arithmetic, where no listing says it."""
    width = BYTES_PER_PARAMETER.get(spec.dtype, 2)
    if spec.quantization:
        return int(spec.linear_parameters * 0.53 + (spec.parameters - spec.linear_parameters) * width)
    return spec.parameters * width


def _known_bytes(weights: Weights, spec: ModelSpec) -> int:
    return weights.total_bytes if weights.files and not weights.missing else _weights_bytes(spec)


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or text.count("/") != 1 or text.endswith("/")


def _nearby(path: Path) -> str:
    """What might have been meant: directories with a similar name beside it."""
    try:
        names = [entry.name for entry in path.absolute().parent.iterdir() if entry.is_dir()]
    except OSError:
        return f"The directory {path.absolute().parent} does not exist either: check the path."
    close = difflib.get_close_matches(path.name, names, n=1)
    if close:
        return f'Did you mean "{path.parent / close[0]}"?'
    return "Check the path, or give a Hub id such as Qwen/Qwen2.5-0.5B."
