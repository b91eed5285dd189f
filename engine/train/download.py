"""Fetch the weights of a model from the Hub: safetensors and small files, nothing that can hold a program."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.errors import UserError
from engine.models.find import ModelFiles, find_model
from engine.models.hub import explain_hub_failure
from engine.places import model_cache_directory

PATTERNS = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
MARGIN_BYTES = 1 << 30


def model_directory(files: ModelFiles) -> Path:
    """The folder with all files of the model, downloaded when they are not here. Raises UserError."""
    if files.directory is not None:
        return files.directory
    _require_room(files)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(files.source, revision=files.revision or None, allow_patterns=PATTERNS))
    except Exception as error:  # the Hub's client has some twenty ways to fail
        raise explain_hub_failure(files.source, files.revision, error) from error


def base_files(files: ModelFiles) -> ModelFiles:
    """The base model itself: of an adapter, the model that it belongs to."""
    return find_model(files.adapter_base) if files.is_adapter else files


def _require_room(files: ModelFiles) -> None:
    place = model_cache_directory()
    existing = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < files.download_bytes + MARGIN_BYTES:
        what = f"The model needs {files.download_bytes / 1e9:.1f} GB to download, and {free / 1e9:.1f} GB are free."
        raise UserError(what, str(place), "Make room, or set HF_HOME to a folder on a larger disk.")
