"""The Hub's cache on this machine, read by its documented layout without importing huggingface_hub.

Layout: models--OWNER--NAME/{refs/REVISION, snapshots/COMMIT/..., blobs/...}; a download under way is a *.incomplete
blob.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Where the Hub's files are kept, by the same rules as huggingface_hub (HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME)."""
    explicit = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if explicit:
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{base}/huggingface"
    return Path(home).expanduser() / "hub"


def cached_snapshot(source: str, revision: str = "") -> Path | None:
    """The directory of a cached revision (default branch when empty), None when the cache does not have it."""
    folder = _folder(source)
    name = revision or "main"
    try:
        commit = (folder / "refs" / name).read_text().strip()
    except OSError:
        commit = name
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def unfinished_bytes(source: str) -> int:
    """Bytes of downloads of this model that were begun and not finished."""
    try:
        return sum(file.stat().st_size for file in (_folder(source) / "blobs").glob("*.incomplete"))
    except OSError:
        return 0


def _folder(source: str) -> Path:
    return cache_directory() / ("models--" + source.replace("/", "--"))
