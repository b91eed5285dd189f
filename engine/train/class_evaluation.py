"""How well a classification head chooses on held-out rows: loss per row, share of right labels, macro F1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from engine.train.dataset import Batch
from engine.train.evaluation import Evaluation


class ClassTally:
    """What the head said of each row beside its label."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model, self._device = model, device
        self._loss, self._tokens = 0.0, 0
        self._said: list[int] = []
        self._true: list[int] = []

    def add(self, batch: Batch) -> None:
        ids, mask = batch["input_ids"].to(self._device), batch["attention_mask"].to(self._device)
        logits = self._model(input_ids=ids, attention_mask=mask).logits.float().cpu()
        labels = batch["labels"][:, 0].cpu()
        loss = float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
        self.take({"loss": loss, "tokens": int(mask.sum()), "said": logits.argmax(-1).tolist(),
                   "true": labels.tolist()})  # fmt: skip

    def told(self) -> dict[str, Any]:
        return {"loss": self._loss, "tokens": self._tokens, "said": self._said, "true": self._true}

    def take(self, told: Mapping[str, Any]) -> None:
        self._loss += told["loss"]
        self._tokens += told["tokens"]
        self._said += told["said"]
        self._true += told["true"]

    def found(self, seconds: float) -> Evaluation:
        said, true = self._said, self._true
        details = {"right_labels": _share(said, true), "macro_f1": macro_f1(said, true)} if true else {}
        loss = self._loss / len(true) if true else math.nan
        return Evaluation(loss, math.nan, len(true), self._tokens, seconds, details)


def _share(said: Sequence[int], true: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(said, true, strict=True)) / len(true)


def macro_f1(said: Sequence[int], true: Sequence[int]) -> float:
    """The mean over the classes that occur of 2 TP / (2 TP + FP + FN)."""
    scores = []
    for name in sorted(set(true)):
        hits = sum(a == b == name for a, b in zip(said, true, strict=True))
        wrong = sum((a == name) != (b == name) for a, b in zip(said, true, strict=True))
        scores.append(2 * hits / (2 * hits + wrong) if hits or wrong else 0.0)
    return sum(scores) / len(scores)
