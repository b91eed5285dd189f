"""The compiled tables: what a step keeps alive, as polynomials of the sizes. Plain Python, no torch.

A table holds the few moments of a training step that can be its peak. Each is, per part, a sum of monomials in
B rows, S tokens per row, H hidden size, I inner size, V vocabulary, n heads, m key heads, d head size, Q = n d, K = m
d,
R rotated size, r rank, N = rows of a tile of logits (at most 4096), C = its 32768 columns, W = min(V, C); of a
mixture e experts, k of them for each token, J inner size of the expert that all tokens share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from engine.models.spec import ModelSpec

TABLE_DIRECTORY = files("assets").joinpath("plan")
PROBED_LAYERS = 2  # a table's base is a model of two layers
TILE_ROWS, TILE_COLUMNS = 4096, 32768
# Families whose layers do the same operations on tensors of the same sizes (biases on queries and keys weigh nothing).
SAME_AS = {"mistral": "llama", "ministral": "llama", "qwen2": "llama"}


@dataclass(frozen=True)
class Moment:
    """One moment: its phase, and its live bytes by part (activations, workspace, gradients)."""

    phase: str
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(self.parts.values())


def values_of(
    hidden: int, inner: int, heads: int, kv_heads: int, head_dim: int, rotary: int, vocab: int, batch: int, length: int,
    rank: int, experts: int = 0, chosen: int = 0, shared: int = 0,
) -> dict[str, float]:  # fmt: skip
    """The value of every symbol."""
    return {
        "": 1.0, "B": batch, "S": length, "H": hidden, "I": inner, "V": vocab, "Q": heads * head_dim,
        "K": kv_heads * head_dim, "n": heads, "m": kv_heads, "d": head_dim, "D": -(-head_dim // 32) * 32, "R": rotary,
        "r": rank, "g": heads // max(1, kv_heads), "N": min(batch * (length - 1), TILE_ROWS), "C": TILE_COLUMNS,
        "W": min(vocab, TILE_COLUMNS), "e": experts, "k": chosen, "J": shared,
    }  # fmt: skip


def monomial(name: str, values: Mapping[str, float]) -> float:
    """The value of a product of symbols."""
    result = 1.0
    for symbol in name.split("*"):
        result *= values[symbol]
    return result


def moments(spec: ModelSpec, key: str, batch: int, length: int, rank: int) -> list[Moment] | None:
    """The moments of a step of this model, None where no table was compiled for its structure."""
    documents = [document for name in structures_of(spec) if (document := _load(name)) and key in document["tables"]]
    if not documents:
        return None
    document, table = documents[0], documents[0]["tables"][key]
    values = values_of(
        spec.hidden_size, spec.intermediate_size, spec.heads, spec.kv_heads, spec.head_dim, spec.rotary_size,
        spec.vocab_size, batch, length, rank, spec.experts, spec.experts_per_token, spec.shared_expert_size,
    )  # fmt: skip
    evaluated = [monomial(name, values) for name in document["monomials"]]
    more = spec.layers - PROBED_LAYERS
    found = []
    for phase, parts in table:
        sums = {
            part: max(0.0, sum((base + more * slope) * evaluated[index] for index, base, slope in rows))
            for part, rows in parts.items()
        }
        found.append(Moment(phase, sums))
    return found


def table_key(
    method: str, tied: bool, device: str, precision: str, checkpointing: bool, masked: bool, targets: str = "",
    chunked_loss: bool = True,
) -> str:  # fmt: skip
    """The name of a way of computing. Whether head and embedding are one tensor only matters where both are trained;
    `targets` is a group of adapters.TARGET_GROUPS, "" for all linear layers."""
    head = ("tied" if tied else "untied") if method == "full" else "any"
    kept = "checkpointing" if checkpointing else "keeping"
    usual = f"{method}-{head}-{device}-{precision}-{kept}-{'masked' if masked else 'plain'}"
    return usual + (f"-{targets}" if targets else "") + ("" if chunked_loss else "-logits")


def structures_of(spec: ModelSpec) -> list[str]:
    """The files of tables that describe this model's layers, the best first.

    With a single key head some copies fall away (a dimension of one is contiguous either way), so that the table of
    grouped heads says up to 1.5 % too much.
    """
    model_type = SAME_AS.get(spec.model_type, spec.model_type)
    heads = ["grouped"] if spec.heads != spec.kv_heads else ["plain"]
    single = ["single"] if spec.kv_heads == 1 < spec.heads else []
    return [f"{model_type}-{kind}" + (f"-{spec.variant}" if spec.variant else "") for kind in (*single, *heads)]


@cache
def _load(structure: str) -> dict[str, Any] | None:
    file = TABLE_DIRECTORY.joinpath(f"{structure}.json")
    if not file.is_file():
        return None
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document
