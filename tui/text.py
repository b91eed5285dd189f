"""The one place where text that others wrote is made safe to show.

Data rows, model answers, logs, templates and file names may hold control sequences: an escape sequence in a data row
can write to the clipboard or repaint the screen. `clean` makes such characters visible instead of sending them.
"""

from __future__ import annotations

import re

JOINERS = (0x200C, 0x200D, 0xFEFF)
"""Zero-width non-joiner and joiner, byte order mark: they only shape their neighbours, so they are left out."""

_HIDDEN_RANGES = (
    (0x80, 0x9F),  # C1 controls: an 8-bit form of the escape sequences
    (0xAD, 0xAD),  # soft hyphen
    (0x61C, 0x61C),  # Arabic letter mark
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200B),  # zero-width space
    (0x200E, 0x200F),  # left-to-right and right-to-left marks
    (0x2028, 0x202E),  # line and paragraph separators, direction overrides
    (0x2060, 0x206F),  # word joiner, isolates, deprecated format characters
    (0xD800, 0xDFFF),  # lone surrogates, as a broken JSON escape leaves them
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0xE0000, 0xE007F),  # invisible tags
)


def _replacements() -> dict[int, int | str | None]:
    table: dict[int, int | str | None] = {code: 0x2400 + code for code in range(0x20)}
    table[0x7F] = 0x2421
    for first, last in _HIDDEN_RANGES:
        table.update(dict.fromkeys(range(first, last + 1), 0xFFFD))
    table.update(dict.fromkeys(JOINERS))
    table[ord("\n")] = "\n"
    table[ord("\t")] = "    "
    return table


_REPLACEMENTS = _replacements()
UNSAFE = re.compile(
    "[\x00-\x1f\x7f"
    + "".join(f"{chr(first)}-{chr(last)}" for first, last in _HIDDEN_RANGES)
    + "".join(map(chr, JOINERS))
    + "]"
)
"""Any one character that must never reach a terminal; a line break counts, since a painted line holds none."""


def clean(text: str) -> str:
    """`text` with every control, direction and invisible character made visible; line breaks stay, tabs become blanks.

    Control characters become their pictures (ESC shows as one sign), the others the replacement character.
    """
    if text.isprintable():
        return text
    return text.replace("\r\n", "\n").translate(_REPLACEMENTS)


def one_line(text: str, limit: int = 0) -> str:
    """`text` cleaned, on one line (a line break shows as a sign), and cut to `limit` characters when that is not 0."""
    line = clean(text).replace("\n", "\u21b5")
    if limit and len(line) > limit:
        return line[: max(0, limit - 1)] + "\u2026"
    return line
