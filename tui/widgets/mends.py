"""What Textual 8.2.8 gets wrong in a class that it also uses itself, mended in place."""

from __future__ import annotations

from typing import Any

from textual.geometry import Size
from textual.widgets import OptionList


def mend_option_list() -> None:
    """A list in a terminal without a column for it is as high as one of one column, and pages nowhere.

    Textual wraps to a width of no cell and looks up lines that were never laid out, and fails at both. Its command
    palette is such a list too, so a subclass of ours would not do. Calling this twice does no harm.
    """
    move_page, get_content_height = OptionList._move_page, OptionList.get_content_height
    if getattr(move_page, "mended", False):
        return

    def safe_page(self: OptionList, direction: Any) -> None:
        if self._lines:
            move_page(self, direction)

    def safe_height(self: OptionList, container: Size, viewport: Size, width: int) -> int:
        sides = self.get_component_styles("option-list--option").padding.width
        return get_content_height(self, container, viewport, max(1 + sides, width))

    safe_page.mended = True  # type: ignore[attr-defined]
    OptionList._move_page = safe_page  # type: ignore[method-assign]
    OptionList.get_content_height = safe_height  # type: ignore[method-assign]
