"""What Textual 8.2.8 and rich get wrong in a terminal without a column for a text, mended in place.

Their own command palette is concerned too, so that subclasses of ours would not do. Mending twice does no harm.
"""

from __future__ import annotations

from typing import Any

from rich import _wrap
from textual.widgets import OptionList


def mend_option_list() -> None:
    """Lists wrap their text to at least one column, and a page up or down where no line is laid out does nothing."""
    _wrap_to_a_column()
    move_page = OptionList._move_page
    if getattr(move_page, "mended", False):
        return

    def safe_page(self: OptionList, direction: Any) -> None:
        if self._lines:
            move_page(self, direction)

    safe_page.mended = True  # type: ignore[attr-defined]
    OptionList._move_page = safe_page  # type: ignore[method-assign]


def _wrap_to_a_column() -> None:
    """rich folds a long word into pieces of `width` cells, and fails for a width of none."""
    chop_cells: Any = getattr(_wrap, "chop_cells")  # noqa: B009 - a name that it imports
    if getattr(chop_cells, "mended", False):
        return

    def safe_chop(text: str, width: int, *more: Any, **named: Any) -> list[str]:
        pieces: list[str] = chop_cells(text, max(1, width), *more, **named)
        return pieces

    safe_chop.mended = True  # type: ignore[attr-defined]
    setattr(_wrap, "chop_cells", safe_chop)  # noqa: B010
