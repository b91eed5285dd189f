"""The licence of what was trained: inherited from the base model, and said when nobody knows it."""

from __future__ import annotations

import re
from pathlib import Path

from engine.use.finished import Result


def licence_of(result: Result, base: str, wanted: str) -> tuple[str, list[str]]:
    """The licence for the card, inherited from the base model's own card, and what a person should know about it."""
    found = _front_matter_licence(result.base / "README.md") or _hub_licence(base)
    if wanted and found and wanted != found:
        return wanted, [f"The base model has the licence {found}; you gave {wanted}. Make sure that it allows this."]
    if not (wanted or found):
        return "", ["The licence of the base model is not known here, so the card names none. Look it up first."]
    if found and found not in {"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "openrail"}:
        return wanted or found, [f"The licence {found} of the base model has conditions. Read them before you publish."]
    return wanted or found, []


def _front_matter_licence(card: Path) -> str:
    if not card.is_file():
        return ""
    text = card.read_text(encoding="utf-8", errors="replace")
    matter = text.split("---", 2)[1] if text.startswith("---") and text.count("---") >= 2 else ""
    line = re.search(r"^license:\s*[\"']?([\w.-]+)", matter, re.MULTILINE)
    return line.group(1) if line else ""


def _hub_licence(base: str) -> str:
    """As the Hub says it; empty when the base is local or the Hub is out of reach."""
    if "/" not in base:
        return ""
    from huggingface_hub import HfApi

    try:
        card = HfApi().model_info(base, timeout=5).card_data
        return str(card.get("license") or "") if card else ""
    except Exception:  # noqa: BLE001 - a licence that cannot be looked up is an unknown licence
        return ""
