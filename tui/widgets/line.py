"""One row of text in several looks, for headers and rows of numbers that change several times a second.

A Static sends itself again for the same text and asks for a new layout; this sends what changed, and asks for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.widgets.rows import Piece, Rows


class Line(Rows):
    """Shows pieces of text side by side, cut at the right edge. The caller cleans untrusted text."""

    DEFAULT_CSS = "Line { height: 1; }"

    @property
    def pieces(self) -> Sequence[Piece]:
        """What the row holds now."""
        return self.rows[0] if self.rows else ()

    def put(self, pieces: Sequence[Piece]) -> None:
        """Show these pieces."""
        self.show([pieces])

    def say(self, text: str, look: str = "plain") -> None:
        """Show one text in one look."""
        self.show([[(text, look)]])
