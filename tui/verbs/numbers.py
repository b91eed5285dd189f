"""What numbers flags take, said in words where one is wrong. Imports nothing but argparse."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """A whole number above 0."""
    return _whole(text, 1, "a whole number above 0")


def natural(text: str) -> int:
    """A whole number, 0 or more."""
    return _whole(text, 0, "a whole number, 0 or more")


def amount(text: str) -> float:
    """Gigabytes or seconds: a number, 0 or more, and no infinity."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a number, 0 or more")
    return number


def _whole(text: str, least: int, words: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ArgumentTypeError(f"{text!r} is not {words}")
    return number
