"""The bottom line: the keys that work here, taken from the bindings themselves."""

from __future__ import annotations

from typing import Any

from textual.content import Content
from textual.screen import Screen

from tui.widgets.plain import Plain

KEY_NAMES = {"escape": "Esc", "enter": "Enter", "question_mark": "?", "slash": "/", "space": "Space", "tab": "Tab",
             "up": "Up", "down": "Down", "left": "Left", "right": "Right", "pageup": "PgUp", "pagedown": "PgDn",
             "delete": "Del", "backspace": "Backspace", "home": "Home", "end": "End", "plus": "+", "minus": "-",
             "equals_sign": "=", "left_square_bracket": "[", "right_square_bracket": "]", "comma": ",",
             "full_stop": "."}  # fmt: skip


def key_name(key: str) -> str:
    """A key as it is printed on the keyboard: `Esc`, `Ctrl+Q`, `?`."""
    if key.startswith("ctrl+"):
        return f"Ctrl+{key_name(key[5:]).upper()}"
    if key.startswith("shift+"):
        return f"Shift+{key_name(key[6:])}"
    return KEY_NAMES.get(key, key.upper() if key.startswith("f") and key[1:].isdigit() else key)


def shown_keys(screen: Screen[Any]) -> list[tuple[str, str]]:
    """(key, description) of every binding that is active and meant to be shown, focused widget first."""
    found: dict[str, str] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.show and binding.description and active.enabled and binding.description not in found.values():
            found[key_name(binding.key)] = binding.description
    return list(found.items())


ALWAYS = frozenset({"?", "F1", "Back"})
"""Keys and words that stay where the line is too short: help names every key, and the way out is in sight."""


def fitting(keys: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """The keys that `width` cells have room for: the last ones go first, those in ALWAYS stay."""
    kept = list(keys)
    always = ALWAYS if any("Back" in pair for pair in keys) else ALWAYS | {"Leave"}
    while sum(len(key) + len(words) + 3 for key, words in kept) > width:
        place = next((at for at in reversed(range(len(kept))) if not always & set(kept[at])), None)
        if place is None:
            break
        del kept[place]
    return kept


class KeyLine(Plain):
    """One line of keys. Cheaper than Textual's Footer, which is a widget per key."""

    def __init__(self) -> None:
        super().__init__()

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)
        self._bindings_changed(self.screen)

    def on_resize(self) -> None:
        """More or fewer keys have room now."""
        self._bindings_changed(self.screen)

    def _bindings_changed(self, screen: Screen[Any]) -> None:
        pieces: list[tuple[str, str]] = []
        for key, description in fitting(shown_keys(screen), self.app.size.width):
            pieces += [(f" {key} ", "bold $text-accent"), (f"{description} ", "$text-muted")]
        self.put(Content.assemble(*pieces))
