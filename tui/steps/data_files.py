"""Where data may lie: files nearby, the endings that are read, and names on the Hub."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md")
PACKED = (".gz", ".zst", ".bz2")
_OFFERED = tuple(suffix for suffix in SUFFIXES if suffix != ".md")
"""Markdown files are mostly notes on other things; they are read when they are named."""
_NOT_DATA = {"package.json", "package-lock.json", "tsconfig.json", "requirements.txt", "license.txt"}


def nearby_files(places: tuple[Path, ...] | None = None, limit: int = 8) -> list[Path]:
    """Data files in the working directory and its `data` folder."""
    here = Path.cwd()
    found: list[Path] = []
    for place in places if places is not None else (here, here / "data"):
        try:
            names = sorted(place.iterdir())
        except OSError:
            continue
        found.extend(path for path in names if ending(path) in _OFFERED and path.is_file())
    return [path for path in found if path.name.lower() not in _NOT_DATA][:limit]


def ending(path: Path) -> str:
    """The ending that names the format, below any packing: `rows.jsonl.gz` gives `.jsonl`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def size_words(path: Path) -> str:
    """The size of a file, `1.2 MB`; empty when it cannot be told."""
    try:
        size = path.stat().st_size
    except OSError:
        return ""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def is_hub_name(source: str) -> bool:
    """Whether it is meant as a dataset on the Hub: owner/name, and not the name of a file."""
    from engine.data.sources import is_hub_name as is_name

    owner, slash, name = source.partition("/")
    return bool(owner and slash and name) and ending(Path(name)) not in SUFFIXES and is_name(source)


def nearby_hint(path: Path) -> str:
    """What to do about a file that is not there: a name that is nearly the same, if there is one."""
    import difflib

    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"The folder {path.parent} does not exist either."
    near = difflib.get_close_matches(path.name, names, n=2, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else "Check the spelling."
