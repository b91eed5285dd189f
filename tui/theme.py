"""The colours."""

from __future__ import annotations

from textual.theme import Theme

THEME = Theme(
    name="tunewright",
    primary="#5f87af",
    secondary="#5f8787",
    accent="#87afd7",
    success="#87af5f",
    warning="#d7af5f",
    error="#d75f5f",
    foreground="#d0d0d0",
    background="#121212",
    surface="#1c1c1c",
    panel="#262626",
    dark=True,
    variables={"text-muted": "#9e9e9e", "text": "#d0d0d0"},
)
"""Every colour is one of the 256 that a terminal without true colour has, so that SSH sessions look the same."""
FEW_COLOURS = ("standard", "windows")
"""Rich's names for 16 colours. Then the person's own palette is used."""
