"""The looks of painted text, by name, from the colours of the theme.

Component classes would do the same, but Textual matches every one of them against every rule for every widget, four
times before the first picture: on the page of a run that was half of the time to its first painting.
"""

from __future__ import annotations

from functools import lru_cache

from rich.style import Style
from textual.color import Color
from textual.widget import Widget

TEXT_LOOKS: dict[str, tuple[str, float, bool]] = {
    "plain": ("foreground", 1.0, False),
    "strong": ("foreground", 1.0, True),
    "dim": ("foreground", 0.6, False),
    "good": ("text-success", 1.0, True),
    "warn": ("text-warning", 1.0, True),
    "bad": ("text-error", 1.0, True),
    "key": ("text-primary", 1.0, True),
}
"""Name -> (variable of the theme, strength over the background, bold)."""

CHART_LOOKS: dict[str, tuple[str, float, bool]] = {
    "title": ("foreground", 1.0, True),
    "axis": ("foreground", 0.6, False),
    "raw": ("foreground", 0.4, False),
    "smooth": ("primary", 1.0, True),
    "mark": ("warning", 1.0, True),
    "bad": ("error", 1.0, True),
    "cursor": ("accent", 1.0, True),
    "series-1": ("primary", 1.0, False),
    "series-2": ("warning", 1.0, False),
    "series-3": ("success", 1.0, False),
    "series-4": ("error", 1.0, False),
    "series-5": ("accent", 1.0, False),
    "series-6": ("secondary", 1.0, False),
}


class Looks:
    """The styles of one widget. Ask again after its style was updated."""

    def __init__(self, widget: Widget) -> None:
        self.base = widget.rich_style
        self._background = widget.background_colors[1]
        self._variables = widget.app.theme_variables

    def __getitem__(self, name: str) -> Style:
        """The style of a look; KeyError for a name that is none."""
        variable, strength, bold = TEXT_LOOKS.get(name) or CHART_LOOKS[name]
        colour = self._variables.get(variable, "#d0d0d0")
        return self.base + _style(colour, self._background, strength, bold)


@lru_cache(256)
def _style(colour: str, background: Color, strength: float, bold: bool) -> Style:
    parsed = Color.parse(colour)
    if parsed.ansi is not None:  # the terminal's own palette cannot be mixed
        return Style(color=parsed.rich_color, bold=bold or None, dim=strength < 1.0 or None)
    return Style(color=background.blend(parsed, strength).rich_color, bold=bold or None)
