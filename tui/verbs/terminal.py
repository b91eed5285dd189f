"""What kind of terminal this is, and what must be set before Textual is imported."""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Mapping, MutableMapping

SSH_SIGNS = ("SSH_CONNECTION", "SSH_TTY", "MOSH_CONNECTION")
LOCAL_FRAMES = "30"
REMOTE_FRAMES = "12"
"""Frames per second at most: a painted frame costs 1 to 7 kB, and a bad line carries 20 to 60 kB/s."""


def can_ask() -> bool:
    """Whether a person can be asked: a terminal to read from and one to write to."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()


def can_paint(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the screens can be shown here: a terminal that understands cursor movement."""
    return can_ask() and environment.get("TERM", "") not in {"", "dumb", "unknown"}


def is_remote(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the line to the terminal is SSH or mosh."""
    return any(environment.get(sign) for sign in SSH_SIGNS)


def prepare_textual(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set what Textual reads when it is imported; what a person has set stays."""
    remote = is_remote(environment)
    environment.setdefault("TEXTUAL_FPS", REMOTE_FRAMES if remote else LOCAL_FRAMES)
    if remote:
        environment.setdefault("TEXTUAL_ANIMATIONS", "none")
    if not _can_write_utf8():
        environment.setdefault("TUNEWRIGHT_GLYPHS", "ascii")
    _import_asyncio_without_ssl()


def _import_asyncio_without_ssl() -> None:
    """Keep asyncio from importing ssl, which takes 10 ms of the first page: nothing here makes a secure connection
    through asyncio. The Hub's library imports ssl itself, later and in a thread.
    """
    if "ssl" in sys.modules or "asyncio" in sys.modules:
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]  # the import then fails, which asyncio is prepared for
    try:
        import asyncio  # noqa: F401
    finally:
        del sys.modules["ssl"]


def _can_write_utf8() -> bool:
    """Whether frames reach the terminal as UTF-8; switches the stream over where only Python's choice stood in the way.

    Textual writes to `sys.__stderr__`. In another encoding each sign would become six letters there and the lines
    would shear; then a sign that cannot be sent becomes a question mark, which keeps its column.
    """
    stream = sys.__stderr__
    if stream is None or _is_utf8(stream.encoding):
        return True
    if not _is_utf8(locale.getlocale()[1]):
        stream.reconfigure(errors="replace")
        return False
    stream.reconfigure(encoding="utf-8")
    return True


def _is_utf8(encoding: str | None) -> bool:
    return (encoding or "").lower().replace("-", "") == "utf8"
