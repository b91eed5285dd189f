"""Two texts beside each other, for a comparison without a screen."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from itertools import zip_longest

from tui.text import clean
from tui.verbs.output import LONGEST_LINE

NARROWEST_COLUMN = 24
GAP = " | "


def side_by_side(texts: Mapping[str, str], width: int = 0) -> list[str]:
    """The texts in columns under their names, or below each other where the terminal is narrow.

    `width` 0 asks the terminal, and takes 80 where there is none.
    """
    total = width or min(LONGEST_LINE, shutil.get_terminal_size((80, 24)).columns)
    column = (total - len(GAP) * (len(texts) - 1)) // max(1, len(texts))
    if len(texts) == 1 or column < NARROWEST_COLUMN:
        return [line for name, text in texts.items() for line in (f"{name}:", *_wrap(text, total - 2, "  "))]
    blocks = [[name, "-" * column, *_wrap(text, column)] for name, text in texts.items()]
    rows = zip_longest(*blocks, fillvalue="")
    return [GAP.join(cell.ljust(column) for cell in row).rstrip() for row in rows]


def _wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of at most `width` characters; line breaks in the text stay."""
    lines = clean(text).splitlines() or [""]
    wrapped = [part for line in lines for part in (textwrap.wrap(line, width, replace_whitespace=False) or [""])]
    return [indent + line for line in (wrapped if text.strip() else ["(nothing)"])]
