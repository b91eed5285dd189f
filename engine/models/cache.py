"""The Hub's cache on this machine, read by its documented layout without importing huggingface_hub.

Layout: models--OWNER--NAME/{refs/REVISION, snapshots/COMMIT/..., blobs/...}; a download under way is a *.incomplete
blob.
"""

from __future__ import annotations

from pathlib import Path

from engine.places import model_cache_directory


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


def _folder(source: str) -> Path:
    return model_cache_directory() / ("models--" + source.replace("/", "--"))
