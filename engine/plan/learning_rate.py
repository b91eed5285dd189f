"""The learning rate and why: one curve of the size of the model, and fractions of it for what takes smaller steps."""

from __future__ import annotations

import math

from engine.models.spec import ModelSpec
from engine.plan.settings import recommended
from engine.plan.words import count_text
from engine.recipe import Answer

SIZE_OF_RATES = 600_000_000
ADAPTER_RATE, ADAPTER_RATE_OVER_30B, FULL_RATE, FULL_RATE_FROM_7B = 2e-4, 1e-4, 2e-5, 1e-5
# QLoRA paper and Unsloth's guide: 2e-4, 1e-4 for the largest; full 2e-5 (Axolotl 1e-5..5e-5, torchtune 2e-5).
# held-out loss of a model of 260 thousand parameters after 90 LoRA steps: 2.78 at 1e-3, 2.77 at 3e-3, 4.51 at 1e-2
LARGEST_ADAPTER_RATE, LARGEST_FULL_RATE = 3e-3, 3e-3
TEXT_RATES = {"full": 0.5, "adapter": 0.25}
"""Of the rate for answers: 5e-5 for adapters is Unsloth's guide for continued pre-training; half for a full fine-tune,
since re-warming to a lower peak forgets less (Ibrahim and others 2024; cosine and a longer warm-up are theirs too)."""
OBJECTIVE_RATES = {"dpo": 1 / 40, "kto": 1 / 40, "orpo": 0.4}
"""Of the rate for writing answers. TRL's own scripts: DPO 5e-7 and, with LoRA, 5e-6, where SFT has 2e-5 and 2e-4; the
ORPO paper 8e-6 for a full fine-tune."""


def learning_rate(spec: ModelSpec, method: str, objective: str = "sft", raw_text: bool = False) -> Answer:
    """The rate of supervised fine-tuning, or its fraction where answers are compared or raw text is read."""
    plain = _supervised_rate(spec, method)
    if raw_text and objective == "sft":
        part = TEXT_RATES["full" if method == "full" else "adapter"]
        why = f"Raw text is read with {part:g} of the rate for answers, so that less of what was known is lost."
        return recommended(_two_digits(float(str(plain.value)) * part), why)
    share = OBJECTIVE_RATES.get(objective)
    if share is None:
        return plain
    rate = _two_digits(float(str(plain.value)) * share)
    return recommended(rate, f"Comparing answers takes small steps: {share:g} of the rate for writing them.")


def _supervised_rate(spec: ModelSpec, method: str) -> Answer:
    """One curve of the model's size: the published values from 600M parameters on, rising below, where steps must be
    larger because narrow layers change less per step."""
    size = spec.parameters
    if method == "full":
        rate = FULL_RATE_FROM_7B if size >= 6.5e9 else FULL_RATE
        if size < SIZE_OF_RATES:
            rate = min(LARGEST_FULL_RATE, FULL_RATE * (SIZE_OF_RATES / size) ** (2 / 3))
    else:
        rate = ADAPTER_RATE_OVER_30B if size > 30e9 else ADAPTER_RATE
        if size < SIZE_OF_RATES:
            rate = min(LARGEST_ADAPTER_RATE, ADAPTER_RATE * math.sqrt(SIZE_OF_RATES / size))
    kind, usual = ("full fine-tuning", FULL_RATE) if method == "full" else ("adapters", ADAPTER_RATE)
    if size < SIZE_OF_RATES:
        why = f"A model of {count_text(size)} parameters needs larger steps than the usual {usual:g}."
        return recommended(_two_digits(rate), why)
    return recommended(_two_digits(rate), f"The usual rate for {kind} of a model of {count_text(size)} parameters.")


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
