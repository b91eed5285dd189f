"""The parts that a decoder is made of, as numbers: enough to count parameters and to size adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import UserError


@dataclass(frozen=True)
class LinearShape:
    """`count` modules of one name: weight (outputs, inputs), with or without a bias of (outputs,)."""

    name: str
    inputs: int
    outputs: int
    bias: bool
    count: int

    @property
    def weights(self) -> int:
        """Elements of all weight matrices of this name."""
        return self.count * self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + (self.count * self.outputs if self.bias else 0)


@dataclass(frozen=True)
class Shape:
    """A decoder in numbers. `linears` are the linear layers inside the blocks (the language-model head is not one of
    them);
    `experts` are the fused 3-D expert weights, which are no linear layers and stay in 16 bits under 4-bit loading."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    context: int
    linears: tuple[LinearShape, ...]
    norms: int
    embeddings: int
    lm_head: int
    experts: int = 0
    expert_count: int = 0
    other: int = 0


class Fields:
    """Reads numbers out of a config.json and names the file when one is missing or wrong."""

    def __init__(self, config: Mapping[str, Any], where: str) -> None:
        self.config = config
        self.where = where

    def integer(self, *names: str, default: int | None = None) -> int:
        """The first of `names` that is set; UserError when none is and there is no default."""
        for name in names:
            value = self.config.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise UserError(
                    f"The model's config says {name} = {value!r}, which is no whole number.", self.where, _FIX
                )
            return value
        if default is None:
            raise UserError(f"The model's config lacks {names[0]}.", self.where, _FIX)
        return default

    def flag(self, name: str, default: bool) -> bool:
        """A true/false setting with the default of the model's class in transformers."""
        value = self.config.get(name)
        return default if value is None else bool(value)


_FIX = "Download the model again, or choose another one: this config.json is incomplete or was edited."
