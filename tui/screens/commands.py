"""The command palette and the help, both made from the bindings, and the keys that a person has changed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from tui.widgets.key_line import key_name

if TYPE_CHECKING:
    from tui.app import TunewrightApp

KEY_FILE_HEAD = """\
# Keys of Tunewright. Take away the # of a line and change the keys, separated by commas.
# Letters, digits, F1 to F10, arrows, enter, escape and tab reach the program through every terminal.
"""


def keys_path() -> Path:
    """Where changed keys are kept: $XDG_CONFIG_HOME/tunewright/keys.toml, lines such as `"wizard.back" = "f9"`."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "tunewright" / "keys.toml"


def own_keys() -> dict[str, str]:
    """Binding id -> keys, from the person's file; empty when there is none or it cannot be read."""
    try:
        text = keys_path().read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    import tomllib

    try:
        document = tomllib.loads(text)
    except ValueError:
        return {}
    return {name: keys for name, keys in document.items() if isinstance(keys, str) and keys}


def active(screen: Screen[Any]) -> list[Binding]:
    """Every binding with a description that works now, the focused widget's first; once per description."""
    found: dict[str, Binding] = {}
    for entry in screen.active_bindings.values():
        if entry.enabled and entry.binding.description:
            found.setdefault(entry.binding.description, entry.binding)
    return list(found.values())


def _change_keys(app: TunewrightApp, screen: Screen[Any]) -> None:
    try:
        path = write_key_file(screen)
    except OSError as error:
        app.notify(f"The file cannot be written: {error.strerror}.", severity="error", markup=False)
        return
    app.notify(f"Change them in {path} and start the program again.", timeout=15, markup=False)


def commands(app: TunewrightApp, screen: Screen[Any]) -> Iterable[SystemCommand]:
    """One entry per action of the screen, then what every screen can do."""
    from tui.widgets.mends import mend_option_list

    mend_option_list()  # the palette is such a list
    nodes = {entry.binding.description: entry.node for entry in screen.active_bindings.values()}
    for binding in active(screen):
        if binding.action in ("command_palette", "copy_or_leave"):
            continue
        node = nodes[binding.description]
        text = f"{binding.tooltip or binding.description} (key {key_name(binding.key)})"

        def run(action: str = binding.action, node: object = node) -> None:
            app.call_later(app.run_action, action, node)

        yield SystemCommand(binding.description, text, run)
    yield SystemCommand("Change the keys", "Write the keys of this page to a file, where you can change them",
                        partial(_change_keys, app, screen))  # fmt: skip
    yield SystemCommand("Draw again", "Paint the whole screen, where something else has written on it", app.draw_again)
    yield SystemCommand("Home", "Go to the list of runs", app.open_home)
    yield SystemCommand("Theme", "Change the colours", app.action_change_theme)


def key_table(screen: Screen[Any]) -> dict[str, tuple[str, str]]:
    """Binding id -> (keys, what it does) of everything that can be given other keys here."""
    found: dict[str, tuple[str, str]] = {}
    for entry in screen.active_bindings.values():
        binding = entry.binding
        if binding.id and binding.description:
            keys = f"{found[binding.id][0]},{binding.key}" if binding.id in found else binding.key
            found[binding.id] = (keys, binding.tooltip or binding.description)
    return found


def write_key_file(screen: Screen[Any]) -> Path:
    """Add the keys of this screen, as comments, to the person's file, for them to change. Raises OSError."""
    path = keys_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = path.read_text(encoding="utf-8") if path.exists() else KEY_FILE_HEAD
    lines = [f'# "{name}" = "{keys}"   # {text}\n' for name, (keys, text) in key_table(screen).items()
             if f'"{name}"' not in known]  # fmt: skip
    path.write_text(known + "".join(lines), encoding="utf-8")
    return path


def help_lines(screen: Screen[Any]) -> list[tuple[str, str]]:
    """(keys, what they do) for the help page."""
    rows: dict[str, list[str]] = {}
    for entry in screen.active_bindings.values():
        binding = entry.binding
        if binding.id and binding.description and binding.action != "copy_or_leave":
            rows.setdefault(binding.tooltip or binding.description, []).append(key_name(binding.key))
    return [(" or ".join(keys), text) for text, keys in rows.items()]
