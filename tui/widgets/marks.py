"""Small signs with a meaning, in Unicode or ASCII. Every sign stands beside a word, so that none is needed alone."""

from __future__ import annotations

import os

_UNICODE = {"done": "✓", "current": "▸", "check": "!", "skipped": "–", "todo": "·", "good": "✓", "bad": "✗",
            "bar": "█", "rest": "░", "cut": "✂", "line": "─"}  # fmt: skip
_ASCII = {"done": "+", "current": ">", "check": "!", "skipped": "-", "todo": ".", "good": "+", "bad": "x",
          "bar": "#", "rest": ".", "cut": "%", "line": "-"}  # fmt: skip


def mark(name: str) -> str:
    """The sign called `name`; ASCII where `TUNEWRIGHT_GLYPHS` asks for it."""
    signs = _ASCII if os.environ.get("TUNEWRIGHT_GLYPHS") == "ascii" else _UNICODE
    return signs[name]


def spinner(beat: int) -> str:
    """One of four signs for something that is still going on; `beat` counts quarter seconds."""
    return "|/-\\"[beat % 4]
