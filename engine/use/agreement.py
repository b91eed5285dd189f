"""How alike two models answer, shown by numbers: their logits on a few probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.use.generate import all_logits
from engine.use.prompts import Prompts

PROBES = (
    "Hello",
    "What is the capital of France?",
    'Write {"size": "large"} as a sentence.',
    "Translate to German: good morning",
    "1, 2, 3,",
)


@dataclass(frozen=True)
class Agreement:
    """How close two models answer on the probes.

    `largest_difference` is the largest absolute difference of a logit, `largest_logit` gives the scale, and
    `same_choice` is the share of positions where both find the same token likeliest.
    """

    largest_difference: float
    largest_logit: float
    same_choice: float
    positions: int

    def as_dict(self) -> dict[str, float | int]:
        return {
            "largest_difference": self.largest_difference,
            "largest_logit": self.largest_logit,
            "same_choice": self.same_choice,
            "positions": self.positions,
        }


def probe_ids(prompts: Prompts) -> list[list[int]]:
    """The probes as they would be asked, as token ids."""
    return [prompts.ids([("user", text)]) for text in PROBES]


def logits_of(model: Any, ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Logits at every position of every probe."""
    return [all_logits(model, row) for row in ids]


def compare(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> Agreement:
    """How close two lists of logits are."""
    differences = [(a - b).abs().max().item() for a, b in zip(left, right, strict=True)]
    same = [(a.argmax(-1) == b.argmax(-1)) for a, b in zip(left, right, strict=True)]
    return Agreement(
        largest_difference=max(differences),
        largest_logit=max(a.abs().max().item() for a in left),
        same_choice=torch.cat(same).float().mean().item(),
        positions=sum(len(a) for a in left),
    )
