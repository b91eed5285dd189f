"""A value with where it came from and why: what a recipe is made of, and what the wizard collects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.recipe_keys import Value

Source = Literal["detected", "recommended", "previous", "you"]


@dataclass(frozen=True)
class Answer:
    """A value with where it came from and why, in one line."""

    value: Value
    source: Source
    reason: str
