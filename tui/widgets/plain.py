"""Text without markup that is painted again only when it changed, and laid out again only when its height did.

A painted region costs bytes whether or not it changed, and a new layout repaints the whole screen (15 kB at 120x40).
Markup is off, since the text may come from files: `[/INST]` in a row would end the program.
"""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class Plain(Static):
    """A Static whose text is changed with `put`."""

    def __init__(self, content: Content | str = "", *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002, E501
        super().__init__(content, id=id, classes=classes, markup=False)
        self._shown = Content(content) if isinstance(content, str) else content

    def put(self, content: Content | str) -> None:
        """Show this text."""
        new = Content(content) if isinstance(content, str) else content
        if new.plain == self._shown.plain and new.spans == self._shown.spans:
            return
        self._shown = new
        self.update(new, layout=False)
        if not self._fits():
            self.refresh(layout=True)
            self.call_after_refresh(self._lay_out_again)

    def _fits(self) -> bool:
        width = self.content_size.width
        return width > 0 and self.get_content_height(self.container_size, self.app.size, width) == self._laid_out

    def _lay_out_again(self) -> None:
        """A text that comes while another one's layout is on its way gets that one's height in Textual 8.2.8: a second
        request does not count there while the first is open."""
        if self.is_attached and self.content_size.width > 0 and not self._fits():
            self.refresh(layout=True)

    @property
    def _laid_out(self) -> int:
        """The height that the text has on the screen now; a fixed height never asks for a new layout."""
        if self.styles.height is not None and not self.styles.height.is_auto:
            return self.get_content_height(self.container_size, self.app.size, self.content_size.width)
        return self.content_size.height

    @property
    def text(self) -> str:
        """What is shown, without styles."""
        return self._shown.plain
