"""What Textual 8.2.8 gets wrong in a class that it also uses itself, mended in place."""

from __future__ import annotations

from typing import Any

from textual.widgets import OptionList


def mend_option_list() -> None:
    """A page up or down where no line is laid out, as in a terminal without a column for it, does nothing.

    Textual looks the line of the highlight up and fails. Its command palette is such a list too, so a subclass of ours
    would not do. Calling this twice does no harm.
    """
    original = OptionList._move_page
    if getattr(original, "mended", False):
        return

    def move_page(self: OptionList, direction: Any) -> None:
        if self._lines:
            original(self, direction)

    move_page.mended = True  # type: ignore[attr-defined]
    OptionList._move_page = move_page  # type: ignore[method-assign]
