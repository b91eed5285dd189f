"""How wide text is in a terminal, for words that must fit a row; what reports and plain lines share knows no Rich."""

from __future__ import annotations

from unicodedata import category, east_asian_width


def cells(text: str) -> int:
    """Cells that `text` takes: two for East Asian wide characters, none for marks that join the one before."""
    if text.isascii():
        return len(text)
    return sum(0 if category(one) in ("Mn", "Me") else 2 if east_asian_width(one) in "WF" else 1 for one in text)
