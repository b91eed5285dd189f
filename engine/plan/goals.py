"""What a person wants from a fine-tune; the ids are the ones that recipes and the wizard use."""

from __future__ import annotations

GOALS: dict[str, str] = {
    "instruction": "follow instructions",
    "code": "write or change code",
    "classification": "sort texts into classes",
    "structured": "turn texts into structured output",
    "chat": "hold conversations",
    "text": "write like the given texts",
}
DEFAULT_GOAL = "instruction"
