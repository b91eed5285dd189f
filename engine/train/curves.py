"""What a preference run logs beside its loss, by the names that events and charts use."""

from __future__ import annotations

from collections.abc import Mapping

CURVES = {
    "rewards/chosen": "reward_chosen", "rewards/rejected": "reward_rejected", "rewards/margins": "margin",
    "rewards/accuracies": "accuracy", "kl": "kl",
}  # fmt: skip
"""TRL's names of what is logged -> ours. A reward: beta times how much likelier an answer became."""


def curves_of(logs: Mapping[str, float]) -> dict[str, float]:
    """What a log holds beside the loss, by our names; nothing for runs that learn to write answers."""
    return {ours: float(logs[theirs]) for theirs, ours in CURVES.items() if theirs in logs}
