"""Nothing private leaves: files that tell of this machine are refused before anything is sent."""

from __future__ import annotations

import os
import re
from pathlib import Path

from engine.errors import UserError
from engine.use.finished import Result

_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")
_TEXT_SUFFIXES = {".json", ".md", ".toml", ".jinja", ".txt", ".svg", ".model"}


def refuse_private(folder: Path, result: Result) -> None:
    """Raise UserError when a file tells of this machine: a path of run, data, base or home, or an access token."""
    local = [str(result.run.path), str(result.base), result.recipe.data.source, str(Path.home()), result.base_source]
    needles = {place for place in local if place.startswith(os.sep) and len(place) > 1}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in _TEXT_SUFFIXES or path.name == "tokenizer.json":
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found = next((needle for needle in needles if needle in text), "") or ("a token" if _TOKEN.search(text) else "")
        if found:
            what = f"{path.name} would publish something private: {found}."
            raise UserError(what, str(path), "Report this; nothing was sent.", exit_code=1)
