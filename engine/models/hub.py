"""A model on the Hub: its facts and its small files, never its weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.models.cache import cached_snapshot

SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "adapter_config.json",
    "model.safetensors.index.json",
)
SECONDS_TO_ANSWER = 10.0


@dataclass(frozen=True)
class HubModel:
    """What the Hub says: commit, file names with their bytes, licence, and whether access must be asked for."""

    commit: str
    files: dict[str, int]
    licence: str
    gated: bool
    snapshot: Path


def fetch_small_files(source: str, revision: str = "") -> HubModel:
    """Ask the Hub about a model and put its small files into the cache. UserError for every way in which that fails."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise UserError(
            f"{source} is not in the model cache, and HF_HUB_OFFLINE forbids asking the Hub.",
            source,
            "Unset HF_HUB_OFFLINE, or give the path of a model directory on this machine.",
        )
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        return _fetch(source, revision)
    except UserError:
        raise
    except Exception as error:
        raise explain_hub_failure(source, revision, error) from error


def _fetch(source: str, revision: str) -> HubModel:
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(source, revision=revision or None, files_metadata=True, timeout=SECONDS_TO_ANSWER)
    files = {entry.rfilename: int(entry.size or 0) for entry in info.siblings or ()}
    for name in SMALL_FILES:
        if name in files:
            hf_hub_download(source, name, revision=revision or None, etag_timeout=SECONDS_TO_ANSWER)
    snapshot = cached_snapshot(source, revision) or cached_snapshot(source, info.sha or "")
    if snapshot is None:
        raise UserError(f"The repository {source} holds none of a model's files.", source, "Choose another model.")
    return HubModel(info.sha or "", files, _licence(info), bool(info.gated), snapshot)


def _licence(info: Any) -> str:
    card = getattr(info, "card_data", None)
    named = getattr(card, "license", None) if card is not None else None
    tagged = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    return str(named or (tagged[0] if tagged else ""))


def explain_hub_failure(source: str, revision: str, error: Exception) -> UserError:
    """What went wrong with the Hub, in words."""
    kind = type(error).__name__
    if kind == "GatedRepoError":
        return UserError(
            f"{source} may only be used after its owner has agreed.",
            f"https://huggingface.co/{source}",
            "Ask for access on that page, then sign in here with: hf auth login",
        )
    if kind == "RevisionNotFoundError":
        return UserError(
            f'{source} has no revision "{revision}".', source, "Leave the revision empty for the newest one."
        )
    if kind in ("RepositoryNotFoundError", "HFValidationError"):
        return UserError(
            f'There is no model "{source}": no such directory here, and the Hub does not know it (or it is private).',
            source,
            "Check the spelling (OWNER/NAME), or sign in with: hf auth login",
        )
    return UserError(
        f"{source} is not in the model cache and the Hub could not be reached ({kind}).",
        source,
        "Check the network (HF_ENDPOINT names another Hub), or give the path of a model directory on this machine.",
    )
