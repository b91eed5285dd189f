"""What a cell of the screen can show: three sets of signs, from eight braille dots down to plain ASCII.

Every set divides a cell into `across` x `down` dots; `table` holds one character for each combination of dots, and
bit `across * y + x` of its index stands for the dot in column x and row y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class GlyphSet:
    """One way of drawing: the dots of a cell, and the signs for marks and axes."""

    name: str
    across: int
    down: int
    table: str
    evaluation: str
    checkpoint: str
    rewind: str
    not_a_number: str
    cursor: str
    vertical: str
    tick_left: str
    horizontal: str
    corner: str
    tick_below: str
    line_key: str
    band_key: str

    def bit(self, x: int, y: int) -> int:
        """The bit of the dot in column `x` and row `y` of a cell."""
        return 1 << (self.across * y + x)

    @property
    def sparse(self) -> int:
        """Every second dot, as on a chessboard: a shade, for a band that no colour can tell from the line over it."""
        return sum(self.bit(x, y) for y in range(self.down) for x in range(self.across) if (x + y) % 2 == 0)

    @property
    def translation(self) -> Mapping[int, str]:
        """For `str.translate`: from bits as a character code to the sign."""
        return dict(enumerate(self.table))


_BRAILLE_DOTS = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)  # Unicode's numbering, row by row


def _braille(bits: int) -> str:
    if not bits:
        return " "
    return chr(0x2800 + sum(dot for place, dot in enumerate(_BRAILLE_DOTS) if bits >> place & 1))


BRAILLE = GlyphSet(
    name="braille",
    across=2,
    down=4,
    table="".join(_braille(bits) for bits in range(256)),
    evaluation="\u25c6",
    checkpoint="\u25b4",
    rewind="\u25c2",
    not_a_number="\u00d7",
    cursor="\u25b2",
    vertical="\u2502",
    tick_left="\u2524",
    horizontal="\u2500",
    corner="\u2514",
    tick_below="\u252c",
    line_key="\u2501",
    band_key="\u28ff",
)
BLOCKS = replace(
    BRAILLE,
    name="blocks",
    down=2,
    table=" \u2598\u259d\u2580\u2596\u258c\u259e\u259b\u2597\u259a\u2590\u259c\u2584\u2599\u259f\u2588",
    band_key="\u2588",
)
ASCII = GlyphSet(
    name="ascii",
    across=1,
    down=2,
    table=" '.:",
    evaluation="o",
    checkpoint="^",
    rewind="<",
    not_a_number="x",
    cursor="^",
    vertical="|",
    tick_left="+",
    horizontal="-",
    corner="+",
    tick_below="+",
    line_key="-",
    band_key=":",
)
GLYPH_SETS: dict[str, GlyphSet] = {glyphs.name: glyphs for glyphs in (BRAILLE, BLOCKS, ASCII)}


def glyphs_for(environment: Mapping[str, str], encoding: str) -> GlyphSet:
    """The set to start with: ASCII where the terminal cannot take more, blocks on the Linux console, else braille.

    The Linux console's font (`TERM=linux`) has no braille. `TUNEWRIGHT_GLYPHS` names a set outright.
    """
    if chosen := GLYPH_SETS.get(environment.get("TUNEWRIGHT_GLYPHS", "")):
        return chosen
    if "utf" not in encoding.lower():
        return ASCII
    return BLOCKS if environment.get("TERM", "") in ("linux", "cons25") else BRAILLE
