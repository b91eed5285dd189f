"""How the playground samples: what a person may set, checked, and in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import UserError


@dataclass(frozen=True)
class Setting:
    """One number that may be set: its key in a request, its words, and its range."""

    key: str
    words: str
    low: float
    high: float
    whole: bool = False


SETTINGS = (
    Setting("temperature", "Temperature: 0 always gives the likeliest answer; more makes answers vary", 0, 5),
    Setting("top_p", "Top-p: the likeliest words that make up this share are considered", 0, 1),
    Setting("max_tokens", "Longest answer in tokens", 1, 32_768, whole=True),
    Setting("seed", "Seed: the same one gives the same answer again; empty draws a new one", 0, 2**53, whole=True),
)
SYSTEM = "system"
DEFAULTS: dict[str, Any] = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 512}


def read_settings(texts: Mapping[str, str]) -> dict[str, Any]:
    """The settings in what was typed; an empty text is the default. Raises UserError that names the field."""
    found = dict(DEFAULTS)
    for setting in SETTINGS:
        text = texts.get(setting.key, "").strip()
        if text:
            found[setting.key] = _number(setting, text)
    if texts.get(SYSTEM, "").strip():
        found[SYSTEM] = texts[SYSTEM].strip()
    return found


def _number(setting: Setting, text: str) -> float | int:
    try:
        value = int(text) if setting.whole else float(text.replace(",", "."))
    except ValueError:
        value = setting.low - 1
    if not setting.low <= value <= setting.high:
        kind = "whole number" if setting.whole else "number"
        fix = f"Give a {kind} from {setting.low:g} to {setting.high:,g}."
        raise UserError(f"{text!r} is no {setting.key}.", setting.key, fix)
    return value


def settings_words(settings: Mapping[str, Any]) -> str:
    """`temperature 0, always the likeliest answer`, with what differs from the defaults."""
    temperature = settings.get("temperature", 0.0)
    words = f"temperature {temperature:g}"
    words += ", always the likeliest answer" if not temperature else ", answers vary"
    changed = [f"{key} {settings[key]:g}" for key in ("top_p", "max_tokens", "seed")
               if key in settings and settings[key] != DEFAULTS.get(key)]  # fmt: skip
    return ", ".join([words, *changed, *(["system prompt"] if settings.get(SYSTEM) else [])])
