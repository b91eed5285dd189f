"""What a verdict on a run is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mood = Literal["dim", "good", "warn", "bad"]


@dataclass(frozen=True)
class Verdict:
    """`words` is the sentence; `reason` what it was read from; `advice` what one could do, empty when nothing."""

    words: str
    reason: str
    mood: Mood
    advice: str = ""
